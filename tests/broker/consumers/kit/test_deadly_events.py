"""Events that kill their process: they alone become dead letters, and all others are handled."""

from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from deploy.local.broker import PrivateBroker
from tests.support.consuming import body, length
from tests.support.eventually import LIMIT_S, eventually
from tests.support.service_process import Service, service

DELIVERY_LIMIT = 2
"""Instead of 20, by a policy: a start of the service takes a second."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a node that nobody mistreats.

    RabbitMQ 4.0 cannot declare such queues any more, until its next start, if one was deleted right
    after a start: what moves dead letters has then failed once too often.
    """
    policy = f'{{"delivery-limit": {DELIVERY_LIMIT}}}'
    with PrivateBroker(tmp_path_factory.mktemp("rabbitmq")) as node:
        node.ctl("set_policy", "deadly", "^test-", policy, "--apply-to", "queues")
        yield node.url


async def restart_until(program: Service, url: str, *, culprits: int, innocent: int) -> None:
    """Start the service whenever it died, as systemd does, until all its events are dealt with.

    The culprits are given up as the last death is noticed, which may be before its exit code is.
    """
    async with await aio_pika.connect(url) as connection:

        async def are_dealt_with() -> bool:
            if program.process.returncode is not None:
                await program.start()
            dead = await length(connection, f"{program.name}.dead")
            return dead == culprits and set(program.texts()) == set(range(innocent))

        await eventually(are_dealt_with, limit_s=3 * LIMIT_S)


@pytest.mark.parametrize("settings", [{}, {"single_active": "true"}], ids=["many", "single"])
@pytest.mark.parametrize("kind", ["handler", "batch_handler", "writer"])
async def test_the_innocent_beside_them_are_all_handled(
    tmp_path: Path,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    settings: dict[str, str],
) -> None:
    monkeypatch.setenv("SERVICE_KIND", kind)
    innocent, culprits = 98, 2
    texts = [str(number) for number in range(innocent)]
    for culprit in range(culprits):
        texts.insert(30 * (culprit + 1), f"deadly {culprit}")
    async with service(tmp_path, "dying.py", url, **settings) as (program, exchange):
        await exchange.publish(*[body(text, event_id=f"e {text}") for text in texts])
        await restart_until(program, url, culprits=culprits, innocent=innocent)

        async with await aio_pika.connect(url) as connection:
            assert await length(connection, f"{program.name}.dead") == culprits


async def test_events_of_a_conversation_keep_their_order_after_a_death(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_KIND", "handler")
    texts = [*map(str, range(40)), "deadly", *map(str, range(40, 80))]
    async with service(tmp_path, "dying.py", url) as (program, exchange):
        for text in texts:
            conversation = "another" if text == "deadly" else "one"
            await exchange.publish(body(text, event_id=f"e {text}", conversation=conversation))
        await restart_until(program, url, culprits=1, innocent=80)

    firsts = list(dict.fromkeys(program.texts()))
    assert firsts == sorted(firsts)
