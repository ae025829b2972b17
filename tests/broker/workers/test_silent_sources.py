"""A source that is silent, in `/readyz`: of one process, and of several."""

from pathlib import Path

import pytest

from tests.broker.workers.conftest import spread, workers
from tests.support.eventually import eventually


@pytest.mark.parametrize("count", [1, 2])
async def test_a_silent_source_is_named_and_the_relay_stays_ready(
    tmp_path: Path, count: int
) -> None:
    sources = {"sources__swiftsell": {"expect_every_s": 0.2}}
    async with workers(tmp_path, count, **sources) as relay:

        async def is_silent() -> bool:
            status, body = await relay.readiness()
            assert (status, body["ready"]) == (200, True)
            return "silent" in body

        await eventually(is_silent)
        await spread(relay, 5)
        await eventually(is_silent)

        _, body = await relay.readiness()
        assert body["silent"]["swiftsell"]["expect_every_s"] == 0.2
        assert body["silent"]["swiftsell"]["last_seen"].endswith("Z")


async def test_a_source_that_is_not_watched_is_never_silent(tmp_path: Path) -> None:
    async with workers(tmp_path, 1) as relay:
        assert "silent" not in (await relay.readiness())[1]
