"""Several workers on one port: killed, stopped, reloaded, made fewer."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess, numbered, post_all

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


def workers(tmp_path: Path, count: int, **options: Any) -> RelayProcess:
    ingress = {"workers": count, **options.pop("ingress", {})}
    return RelayProcess(tmp_path, **{"broker_url": NOWHERE, "ingress": ingress, **options})


def pids(relay: RelayProcess) -> dict[int, int]:
    """The process of each worker, the latest one."""
    return {line["worker"]: line["pid"] for line in relay.lines("worker started")}


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def deliveries(relay: RelayProcess, worker: int) -> int:
    return sum(line["worker"] == worker for line in relay.lines("delivery"))


async def spread(relay: RelayProcess, count: int, start: int = 0) -> list[str]:
    """Deliver over so many connections that every worker gets some of them."""
    return await post_all(relay.url, numbered(count, start), concurrency=32)


def total(metrics: str, name: str) -> float:
    found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, found))


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
    assert all(deliveries(relay, it) for it in range(3))
    assert {line["address"] for line in relay.lines("listening") if "worker" in line} == {
        relay.url.removeprefix("http://")
    }
    assert (status, readiness["ready"]) == (200, True)
    assert readiness["broker"] == {"state": "connected", "reason": None}
    assert [it["worker"] for it in readiness["workers"]] == [0, 1, 2]
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
            await eventually(lambda: _is_ready(relay))

        again = await spread(relay, 200, 100_000)
        await eventually(lambda: set(accepted + again) <= set(recorder.ids))
        await eventually(relay.is_drained)

    assert len(accepted) > 600
    assert len(again) == 200
    died = relay.lines("worker died")
    assert [(it["worker"], it["status"]) for it in died] == [(0, -9), (1, -9)]


async def _is_ready(relay: RelayProcess) -> bool:
    return (await relay.readiness())[0] == 200


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
        await eventually(lambda: len(pids(relay)) == 2 and _is_ready(relay))
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
        await eventually(lambda: _is_ready(relay))

    assert (status, readiness["ready"]) == (503, False)
    assert readiness["reason"] == "worker 1: does not answer"
    assert readiness["broker"]["state"] == "disconnected"
    assert total(metrics, "relay_workers") == 1
    assert total(metrics, "relay_requests_total") == total(before, "relay_requests_total") == 100
    assert total(metrics, "relay_outbox_messages") < total(before, "relay_outbox_messages")


async def test_sigterm_under_load_finishes_every_request_and_leaves_nothing_behind(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    accepted: list[str] = []
    failures: list[str] = []

    async def load(url: str, start: int) -> None:
        async with aiohttp.ClientSession() as http:
            for body in numbered(5000, start):
                try:
                    async with http.post(
                        f"{url}/in/swiftsell", data=body, headers={"Authorization": SECRET}
                    ) as response:
                        if response.status != 200:
                            failures.append(await response.text())
                            return
                        accepted.extend((await response.json())["events"])
                except aiohttp.ClientConnectorError:
                    return  # nobody listens any more: this request was never made
                except aiohttp.ClientError as error:
                    failures.append(repr(error))
                    return

    async with workers(tmp_path, 2, broker_url=broker_url, exchange=exchange) as relay:
        clients = [asyncio.create_task(load(relay.url, n * 5000)) for n in range(16)]
        await eventually(lambda: len(accepted) > 500)
        code = await relay.stop()
        await asyncio.gather(*clients)
        await eventually(lambda: set(accepted) <= set(recorder.ids))

    assert code == 0
    assert failures == []
    assert [it.get("drained") for it in relay.lines("stopped")] == [True, True, None]
    assert len(accepted) < 80_000
    assert not any(map(is_running, pids(relay).values()))


async def test_readiness_ends_with_sigterm_while_the_workers_finish(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay, aiohttp.ClientSession() as http:
        body, read = numbered(1)[0], asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:10]
            await read.wait()
            yield body[10:]

        post = asyncio.create_task(
            http.post(f"{relay.url}/in/swiftsell", data=slowly(), headers={"Authorization": SECRET})
        )
        await eventually(lambda: _requests_begun(relay))
        relay.signal(signal.SIGTERM)
        await eventually(lambda: len(relay.lines("stopping")) == 3)
        status, readiness = await relay.readiness()
        read.set()
        response = await post
        assert await relay.process.wait() == 0

    assert (status, readiness["reason"]) == (503, "shutting down")
    assert response.status == 200


def _requests_begun(relay: RelayProcess) -> bool:
    port = int(relay.url.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(f":{port:04X} " in line and " 01 " in line for line in lines)


async def test_sighup_reaches_all_also_one_that_is_starting(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as relay:
        relay.sections["sources.swiftsell"]["secrets"] = ["new"]
        relay.write_config(relay.sections)
        os.kill(pids(relay)[2], signal.SIGKILL)
        await eventually(lambda: len(relay.lines("worker started")) == 4)
        relay.signal(signal.SIGHUP)
        await eventually(lambda: len(relay.lines("reloaded")) == 3)
        accepted = await spread(relay, 50)

    assert sorted(it["worker"] for it in relay.lines("reloaded")) == [0, 1, 2]
    assert accepted == []
    assert {it["status"] for it in relay.lines("delivery")} == {401}


async def test_a_worker_that_finds_wrong_settings_later_is_tried_again(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        good = relay.sections.copy()
        relay.write_config({**good, "sources.swiftsell": {"vendor": "nobody"}})
        os.kill(pids(relay)[1], signal.SIGKILL)
        await eventually(lambda: len(relay.lines("worker died")) >= 2)
        assert (await relay.readiness())[1]["reason"] == "worker 1: is not running"
        relay.write_config(good)
        await eventually(lambda: _is_ready(relay))

    (first, second, *_) = relay.lines("worker died")
    assert (first["status"], first["problems"]) == (-9, [])
    assert (second["status"], second["worker"]) == (2, 1)
    assert "sources.swiftsell.vendor" in second["problems"][0]


async def test_workers_stop_in_order_when_their_supervisor_is_killed(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(sockets := tmp_path / "tmp"))
    sockets.mkdir()
    async with workers(tmp_path, 2, broker_url=broker_url, exchange=exchange) as relay:
        accepted = await spread(relay, 300)
        assert len(list(sockets.glob("relay-*/*"))) == 2
        await relay.kill()
        await eventually(lambda: not any(map(is_running, pids(relay).values())))

    await eventually(lambda: set(accepted) <= set(recorder.ids))
    assert len(relay.lines("supervisor gone")) == 2
    assert list(sockets.iterdir()) == []
    assert [it["drained"] for it in relay.lines("stopped")] == [True, True]


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, ingress={"shutdown_grace_s": 0}) as relay:
        started = pids(relay)
        os.kill(started[1], signal.SIGSTOP)
        assert await relay.stop() == 1

    assert not any(map(is_running, started.values()))
    log = (tmp_path / "relay.log").read_text()
    assert log.endswith("relay: Worker 1 ended with status -9.\n")


@pytest.mark.parametrize("count", [1, 2])
async def test_fewer_workers_deliver_what_the_others_had_to_leave(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder, count: int
) -> None:
    async with workers(tmp_path, 4, exchange=exchange, ingress={"shutdown_grace_s": 0}) as first:
        accepted = await spread(first, 2000)
        assert await first.stop() == 0
    left = [tmp_path / "outbox" / f"worker-{it}" for it in (1, 2, 3)]
    assert all((it / "outbox.db").exists() for it in left)
    assert all(deliveries(first, it) for it in range(4))

    async with workers(tmp_path, count, broker_url=broker_url, exchange=exchange) as second:
        await recorder.has(2000)
        await eventually(lambda: not any(it.exists() for it in left[count - 1 :]))
        await eventually(second.is_drained)

    assert sorted(recorder.ids) == sorted(accepted)
    taken = {Path(it["directory"]) for it in second.lines("orphaned outbox drained")}
    assert taken == set(left[count - 1 :])


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


async def test_workers_without_an_outbox_answer_once_the_broker_has_confirmed(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    ingress = {"ack_after": "confirm"}
    async with workers(
        tmp_path, 2, broker_url=broker_url, exchange=exchange, ingress=ingress
    ) as relay:
        await eventually(lambda: _is_ready(relay))
        accepted = await spread(relay, 300)
        readiness = (await relay.readiness())[1]
        await recorder.has(300)

    assert len(accepted) == 300
    assert sorted(recorder.ids) == sorted(accepted)
    assert "outbox" not in readiness
    assert not (tmp_path / "outbox").exists()


def serve(relay: RelayProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", "serve", "--config", str(relay._config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("listener", ["ingress", "admin"])
def test_a_port_in_use_is_one_sentence(
    tmp_path: Path,
    listener: str,
    is_shared: bool,  # noqa: FBT001
) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=is_shared) as taken:
        port = taken.getsockname()[1]
        done = serve(workers(tmp_path, 2, **{listener: {"port": port}}))

    assert done.returncode == 1
    assert f"{listener}: can't listen on 127.0.0.1:{port}: " in done.stderr.splitlines()[-1]
    assert done.stderr.count("relay: ") == 1


def test_an_outbox_directory_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    done = serve(workers(tmp_path, 3, outbox={"directory": "/proc/outbox"}))

    assert done.returncode == 1
    assert "relay: The outbox directory /proc/outbox" in done.stderr.splitlines()[-1]
    assert done.stderr.count("relay: ") == 1


def test_wrong_settings_found_by_a_worker_exit_with_2(tmp_path: Path) -> None:
    relay = workers(tmp_path, 2)
    relay.write_config({it: relay.sections[it] for it in relay.sections if "sources" not in it})

    done = serve(relay)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("relay: sources: there is none;")


async def test_a_second_relay_on_the_outboxes_is_refused(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as relay:
        done = await asyncio.to_thread(serve, relay)

    assert done.returncode == 1
    assert re.search(
        rf"in use by another relay \(process ({'|'.join(map(str, pids(relay).values()))})\)",
        done.stderr,
    )
