"""Whatever is thrown at the relay, it answers as it should, stays small and goes on working."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hostile import attacks
from tests.hostile.attack import Attack
from tests.hostile.target import MAX_BYTES, Target
from tests.support.relay_process import nothing_set_outside

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target(
    tmp_path_factory: pytest.TempPathFactory, broker_url: str
) -> AsyncIterator[Target]:
    """One relay for all attacks: what one leaves behind, the next would meet."""
    directory = tmp_path_factory.mktemp("hostile")
    with nothing_set_outside():
        async with Target(directory, broker_url, exchange=directory.name) as target:
            yield target


@pytest.mark.parametrize("attack", attacks.ALL, ids=lambda attack: attack.name)
async def test_an_attack_is_answered_as_it_should_be_and_does_no_harm(
    target: Target, attack: Attack
) -> None:
    target.reset_peak()

    _, problems = await target.strike(attack)

    assert problems == []
    assert await target.harm() == []
    assert target.peak_bytes < MAX_BYTES
