"""More workers or fewer than before: each outbox is delivered."""

from pathlib import Path

import pytest

from tests.broker.conftest import Recorder
from tests.broker.workers.conftest import deliveries, spread, workers
from tests.support.eventually import eventually


@pytest.mark.parametrize("count", [1, 2])
async def test_fewer_workers_deliver_what_the_others_had_to_leave(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder, count: int
) -> None:
    async with workers(tmp_path, 4, exchange=exchange, ingress={"shutdown_grace_s": 0}) as first:
        accepted = await spread(first, 2000)
        assert await first.stop() == 0
    left = [tmp_path / "outbox" / f"worker-{worker}" for worker in (1, 2, 3)]
    assert all((directory / "outbox.db").exists() for directory in left)
    assert all(deliveries(first, worker) for worker in range(4))

    async with workers(tmp_path, count, broker_url=broker_url, exchange=exchange) as second:
        await recorder.has(2000)
        await eventually(lambda: not any(map(Path.exists, left[count - 1 :])))
        await eventually(second.is_drained)

    assert sorted(recorder.ids) == sorted(accepted)
    drained = {Path(line["directory"]) for line in second.lines("orphaned outbox drained")}
    assert drained == set(left[count - 1 :])


async def test_more_workers_begin_with_the_outbox_of_the_single_one(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with workers(tmp_path, 1, exchange=exchange, ingress={"shutdown_grace_s": 0}) as first:
        accepted = await spread(first, 200)
        assert await first.stop() == 0

    async with workers(tmp_path, 2, broker_url=broker_url, exchange=exchange) as second:
        await recorder.has(200)
        await eventually(second.is_drained)

    assert sorted(recorder.ids) == sorted(accepted)
