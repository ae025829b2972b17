"""Workers that stop: in order, without their supervisor, or not by themselves."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.broker.conftest import Recorder
from tests.broker.workers.conftest import is_running, pids, spread, workers
from tests.support.eventually import eventually
from tests.support.relay_process import SECRET, RelayProcess, numbered


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
    assert [line.get("drained") for line in relay.lines("stopped")] == [True, True, None]
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
    assert len(relay.lines("supervisor died")) == 2
    assert list(sockets.iterdir()) == []
    assert [line["drained"] for line in relay.lines("stopped")] == [True, True]


async def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, ingress={"shutdown_grace_s": 0}) as relay:
        started = pids(relay)
        os.kill(started[1], signal.SIGSTOP)
        assert await relay.stop() == 1

    assert not any(map(is_running, started.values()))
    log = (tmp_path / "relay.log").read_text()
    assert log.endswith("relay: Worker 1 ended with status -9.\n")
