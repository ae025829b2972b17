"""Several workers on one port: summed up, killed, reloaded."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.broker.conftest import Recorder
from tests.broker.workers.conftest import deliveries, is_ready, pids, spread, total, workers
from tests.support.eventually import eventually


async def test_every_worker_serves_on_one_port_and_all_are_summed_up(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with workers(tmp_path, 3, broker_url=broker_url, exchange=exchange) as relay:
        accepted = await spread(relay, 600)
        await recorder.has(600)
        await eventually(relay.is_drained)
        status, readiness = await relay.readiness()
        metrics = await relay.metrics()

    assert sorted(recorder.ids) == sorted(accepted)
    assert all(deliveries(relay, worker) for worker in range(3))
    assert {line["address"] for line in relay.lines("listening") if "worker" in line} == {
        relay.url.removeprefix("http://")
    }
    assert (status, readiness["ready"]) == (200, True)
    assert readiness["broker"] == {"state": "connected", "reason": None}
    assert [worker["worker"] for worker in readiness["workers"]] == [0, 1, 2]
    assert readiness["outbox"]["messages"] == 0
    assert total(metrics, "relay_requests_total") == 600
    assert total(metrics, "relay_publish_confirms_total") == 600
    assert total(metrics, "relay_answer_seconds_count") == 600
    assert total(metrics, "relay_outbox_max_bytes") == pytest.approx(10_737_418_240, abs=3)
    assert total(metrics, "relay_workers") == 3


async def test_a_worker_killed_in_mid_load_loses_nothing_acknowledged_and_comes_back(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    accepted: list[str] = []
    async with workers(tmp_path, 2, broker_url=broker_url, exchange=exchange) as relay:
        for n in range(2):
            load = asyncio.create_task(spread(relay, 3000, n * 3000))
            already = deliveries(relay, n)
            await eventually(lambda n=n, more=already + 300: deliveries(relay, n) > more)
            before = pids(relay)[n]
            os.kill(before, signal.SIGKILL)
            accepted += await load
            await eventually(lambda n=n, before=before: pids(relay)[n] != before)
            await eventually(lambda: is_ready(relay))

        again = await spread(relay, 200, 100_000)
        await eventually(lambda: set(accepted + again) <= set(recorder.ids))
        await eventually(relay.is_drained)

    assert len(accepted) > 600
    assert len(again) == 200
    died = relay.lines("worker died")
    assert [(line["worker"], line["status"]) for line in died] == [(0, -9), (1, -9)]


async def test_metrics_do_not_go_backwards_when_a_worker_begins_anew(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        seen, up = [], []

        async def look() -> None:
            metrics = await relay.metrics()
            seen.append(total(metrics, "relay_requests_total"))
            up.append(total(metrics, "relay_workers"))

        await spread(relay, 100)
        await look()
        for pid in pids(relay).values():
            os.kill(pid, signal.SIGKILL)
            await look()
        await eventually(lambda: len(pids(relay)) == 2 and is_ready(relay))
        await look()
        await spread(relay, 50, 100)
        await look()

    assert seen == sorted(seen)
    assert (seen[0], seen[-2], seen[-1]) == (100, 100, 150)
    assert (up[0], up[-1]) == (2, 2)


async def test_readiness_ends_with_one_worker_that_does_not_answer(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        await spread(relay, 100)
        before = await relay.metrics()
        os.kill(pids(relay)[1], signal.SIGSTOP)
        try:
            status, readiness = await relay.readiness()
            metrics = await relay.metrics()
        finally:
            os.kill(pids(relay)[1], signal.SIGCONT)
        await eventually(lambda: is_ready(relay))

    assert (status, readiness["ready"]) == (503, False)
    assert readiness["reason"] == "worker 1: does not answer"
    assert readiness["broker"]["state"] == "disconnected"
    assert total(metrics, "relay_workers") == 1
    assert total(metrics, "relay_requests_total") == total(before, "relay_requests_total") == 100
    assert total(metrics, "relay_outbox_messages") < total(before, "relay_outbox_messages")


async def test_sighup_reaches_all_also_one_that_is_starting(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as relay:
        relay.sections["sources.swiftsell"]["secrets"] = ["new"]
        relay.write_config(relay.sections)
        os.kill(pids(relay)[2], signal.SIGKILL)
        await eventually(lambda: len(relay.lines("worker started")) == 4)
        relay.signal(signal.SIGHUP)
        await eventually(lambda: len(relay.lines("reloaded")) == 3)
        accepted = await spread(relay, 50)

    assert sorted(line["worker"] for line in relay.lines("reloaded")) == [0, 1, 2]
    assert accepted == []
    assert {line["status"] for line in relay.lines("delivery")} == {401}


async def test_a_worker_that_finds_wrong_settings_later_is_tried_again(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        good = relay.sections.copy()
        relay.write_config({**good, "sources.swiftsell": {"vendor": "nobody"}})
        os.kill(pids(relay)[1], signal.SIGKILL)
        await eventually(lambda: len(relay.lines("worker died")) >= 2)
        assert (await relay.readiness())[1]["reason"] == "worker 1: is not running"
        relay.write_config(good)
        await eventually(lambda: is_ready(relay))

    (first, second, *_) = relay.lines("worker died")
    assert (first["status"], first["problems"]) == (-9, [])
    assert (second["status"], second["worker"]) == (2, 1)
    assert "sources.swiftsell.vendor" in second["problems"][0]


async def test_workers_without_an_outbox_answer_once_the_broker_has_confirmed(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    ingress = {"ack_after": "confirm"}
    async with workers(
        tmp_path, 2, broker_url=broker_url, exchange=exchange, ingress=ingress
    ) as relay:
        await eventually(lambda: is_ready(relay))
        accepted = await spread(relay, 300)
        readiness = (await relay.readiness())[1]
        await recorder.has(300)

    assert len(accepted) == 300
    assert sorted(recorder.ids) == sorted(accepted)
    assert "outbox" not in readiness
    assert not (tmp_path / "outbox").exists()
