"""The relay as a process: killed, stopped, reloaded, started with what it can't work with."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess, numbered, post_all


async def test_a_relay_killed_in_mid_load_loses_nothing_it_acknowledged(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    accepted: list[str] = []
    relay = RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    for start in (0, 10_000, 20_000):
        async with relay:
            load = asyncio.create_task(post_all(relay.url, numbered(10_000, start)))
            already = len(relay.lines("delivery"))
            await eventually(lambda already=already: len(relay.lines("delivery")) > already + 700)
            await relay.kill()
            accepted += await load

    async with relay:
        await eventually(relay.is_drained)
        await eventually(lambda: set(accepted) <= set(recorder.ids))

    assert len(accepted) > 2000


async def test_a_second_run_delivers_what_the_first_had_to_leave(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with RelayProcess(
        tmp_path, broker_url=NOWHERE, exchange=exchange, ingress={"shutdown_grace_s": 1}
    ) as first:
        accepted = await post_all(first.url, numbered(3000), concurrency=1)
        assert await first.stop() == 0

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as second:
        await recorder.has(3000)
        await eventually(second.is_drained)

    assert recorder.ids == accepted


async def test_sigterm_under_load_fails_no_request_and_leaves_nothing_behind(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    accepted: list[str] = []
    failures: list[BaseException] = []

    async def send(url: str, body: bytes, http: aiohttp.ClientSession) -> bool:
        """Post once; False once the port is closed."""
        try:
            async with http.post(
                f"{url}/in/swiftsell", data=body, headers={"Authorization": SECRET}
            ) as response:
                assert response.status == 200
                accepted.extend((await response.json())["events"])
        except aiohttp.ClientConnectorError:
            return False  # nobody listens any more: this request was never made
        return True

    async def load(url: str, start: int) -> None:
        async with aiohttp.ClientSession() as http:
            try:
                for body in numbered(5000, start):
                    if not await send(url, body, http):
                        return
            except (aiohttp.ClientError, AssertionError) as error:
                failures.append(error)

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        clients = [asyncio.create_task(load(relay.url, n * 5000)) for n in range(8)]
        await eventually(lambda: len(accepted) > 500)
        code = await relay.stop()
        await asyncio.gather(*clients)
        await eventually(lambda: set(accepted) <= set(recorder.ids))

    assert code == 0
    assert failures == []
    assert relay.lines("stopped")[0]["drained"] is True
    assert len(accepted) < 40_000
    again = RelayProcess(tmp_path, broker_url=NOWHERE, exchange=exchange)
    async with again:
        assert await again.is_drained()


async def test_readiness_ends_with_sigterm_while_the_rest_is_drained(
    tmp_path: Path,
) -> None:
    async with (
        RelayProcess(tmp_path, broker_url=NOWHERE, ingress={"shutdown_grace_s": 30}) as relay,
        aiohttp.ClientSession() as http,
    ):
        body, read = numbered(1)[0], asyncio.Event()

        async def slowly() -> object:
            yield body[:10]
            await read.wait()
            yield body[10:]

        post = asyncio.create_task(
            http.post(f"{relay.url}/in/swiftsell", data=slowly(), headers={"Authorization": SECRET})
        )
        await eventually(lambda: is_connected(relay.url))
        relay.signal(signal.SIGTERM)
        await eventually(lambda: relay.lines("stopping"))
        status, readiness = await relay.readiness()
        read.set()
        response = await post
        await relay.process.wait()

    assert (status, readiness["reason"]) == (503, "shutting down")
    assert (response.status, response.headers["Connection"]) == (200, "close")


def is_connected(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return any(f":{port:04X} " in line and " 01 " in line for line in lines)


async def test_sighup_reads_secrets_again_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    async with (
        RelayProcess(tmp_path, broker_url=NOWHERE) as relay,
        aiohttp.ClientSession() as http,
    ):

        async def status_with(secret: str) -> int:
            async with http.post(
                f"{relay.url}/in/swiftsell", data=numbered(1)[0], headers={"X-Token": secret}
            ) as response:
                return response.status

        relay.sections["sources.swiftsell"]["secrets"] = ["old", "new"]
        relay.write_config(relay.sections)
        assert [await status_with(secret) for secret in (SECRET, "old", "new")] == [200, 401, 401]
        relay.signal(signal.SIGHUP)
        await eventually(lambda: relay.lines("reloaded"))
        assert [await status_with(secret) for secret in (SECRET, "old", "new")] == [401, 200, 200]

        assert relay.lines("restart needed") == []
        relay.sections["admin"]["port"] = 1
        relay.write_config(relay.sections)
        relay.signal(signal.SIGHUP)
        await eventually(lambda: relay.lines("restart needed"))

        relay.sections["sources.swiftsell"] = {"vendor": "nobody"}
        relay.write_config(relay.sections)
        relay.signal(signal.SIGHUP)
        await eventually(lambda: relay.lines("reload failed"))
        assert await status_with("new") == 200

    (line,) = relay.lines("reload failed")
    assert "sources.swiftsell.vendor" in line["problems"][0]


FAILING_AT_SIGUSR1 = """
import asyncio, signal
from relay.cli import main
from relay.process import tasks

def fail():
    raise ValueError(" ".join(("a", "secret")))  # Python 3.13 quotes this line in a traceback

def stop_signal(original=tasks.stop_signal):
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, fail)
    return original()

tasks.stop_signal = stop_signal
main()
"""


async def test_an_error_that_nobody_caught_stops_the_relay_in_order(tmp_path: Path) -> None:
    async with (
        RelayProcess(
            tmp_path,
            broker_url=NOWHERE,
            program=("-c", FAILING_AT_SIGUSR1),
            ingress={"shutdown_grace_s": 30},
        ) as relay,
        aiohttp.ClientSession() as http,
    ):
        body, read = numbered(1)[0], asyncio.Event()

        async def slowly() -> object:
            yield body[:10]
            await read.wait()
            yield body[10:]

        post = asyncio.create_task(
            http.post(f"{relay.url}/in/swiftsell", data=slowly(), headers={"Authorization": SECRET})
        )
        await eventually(lambda: is_connected(relay.url))
        relay.signal(signal.SIGUSR1)
        await eventually(lambda: relay.lines("stopping"))
        (line,) = relay.lines("internal error")
        metrics = await relay.metrics()
        read.set()
        response = await post
        status = await relay.process.wait()

    assert "relay_internal_errors_total 1.0" in metrics
    assert (response.status, status) == (200, 1)
    assert line["error"] == "ValueError"
    assert "a secret" not in (tmp_path / "relay.log").read_text()


def serve(config: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )


def config(tmp_path: Path, **changes: object) -> Path:
    relay = RelayProcess(tmp_path, broker_url=NOWHERE, **changes)
    return relay._config


def test_wrong_settings_are_all_named_and_exit_with_2(tmp_path: Path) -> None:
    path = config(
        tmp_path, ingress={"port": 70_000, "colour": "red"}, broker={"urls": ["http://x"]}
    )

    done = serve(path, RELAY_BRKER__URLS="amqp://x")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for name in ("ingress.port", "ingress.colour", "broker.urls", "RELAY_BRKER__URLS"):
        assert name in done.stderr


def test_a_missing_settings_file_is_one_sentence(tmp_path: Path) -> None:
    done = serve(tmp_path / "nowhere.toml")

    assert (done.returncode, done.stderr) == (
        2,
        f"relay: The settings file {tmp_path}/nowhere.toml does not exist.\n",
    )


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve(config(tmp_path, ingress={"port": port}))

    assert done.returncode == 1
    assert f"ingress: can't listen on 127.0.0.1:{port}: " in done.stderr.splitlines()[-1]


def test_an_outbox_directory_that_can_not_be_made_is_one_sentence(tmp_path: Path) -> None:
    done = serve(config(tmp_path, outbox={"directory": "/proc/outbox"}))

    assert done.returncode == 1
    assert "relay: The outbox directory /proc/outbox can't be used:" in done.stderr


async def test_a_second_relay_on_one_outbox_is_refused(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE) as relay:
        done = await asyncio.to_thread(serve, relay._config)

    assert done.returncode == 1
    assert f"in use by another relay (process {relay.process.pid})" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, where mounting one is allowed."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


async def test_a_full_disk_is_unavailable_and_loses_nothing(
    tmp_path: Path, small_disk: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    outbox = {"directory": str(small_disk / "outbox")}
    async with RelayProcess(
        tmp_path, broker_url=NOWHERE, exchange=exchange, outbox=outbox
    ) as relay:
        accepted = await post_all(relay.url, numbered(10_000))
        status, readiness = await relay.readiness()
        assert await relay.stop() == 0
    statuses = {line["status"] for line in relay.lines("delivery")}
    assert (status, statuses) == (503, {200, 503})
    assert "disk is full" in readiness["reason"]

    async with RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, outbox=outbox
    ) as relay:
        await eventually(lambda: set(accepted) <= set(recorder.ids))
        await eventually(relay.is_drained)
        again = await post_all(relay.url, numbered(5, 10_000))

    assert 500 < len(accepted) < 10_000
    assert len(again) == 5


def test_a_read_only_outbox_is_one_sentence(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    done = serve(config(tmp_path, outbox={"directory": str(small_disk / "outbox")}))

    assert done.returncode == 1
    assert "outbox can't be used: Read-only file system; set outbox.directory" in done.stderr


async def test_logs_and_metrics_show_no_secret_and_no_body(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with (
        RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay,
        aiohttp.ClientSession() as http,
    ):
        for path in ("", f"/{SECRET}", f"?token={SECRET}"):
            for body in (numbered(1, 987654)[0], b"{broken 987654", b'{"token":"%s"}' % b"x"):
                await http.post(f"{relay.url}/in/swiftsell{path}", data=body)
        await recorder.has(2)
        metrics = await relay.metrics()
        log = (tmp_path / "relay.log").read_text()

    for output in (metrics, log):
        assert SECRET not in output
        assert "987654" not in output
    assert len(relay.lines("delivery")) == 9
