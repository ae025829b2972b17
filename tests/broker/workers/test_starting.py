"""Workers that can't start: one sentence says why, and nothing is left running."""

import asyncio
import re
import resource
import socket
from pathlib import Path

import pytest

from tests.broker.workers.conftest import is_running, pids, serve, workers


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
    relay.write_config(
        {name: values for name, values in relay.sections.items() if "sources" not in name}
    )

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


def test_too_few_processes_or_files_for_the_workers_are_one_sentence(tmp_path: Path) -> None:
    relay = workers(tmp_path, 16)

    done = serve(relay, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))

    assert done.returncode == 1
    # uvloop remarks behind it that a transport was not closed.
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("relay: ")]
    assert re.fullmatch(r"relay: Worker \d+ can't be started: Too many open files\.", sentence)
    assert "Traceback" not in done.stderr.partition(sentence)[0]
    started = [int(pid) for pid in re.findall(r'"pid":(\d+),"event":"worker started"', done.stderr)]
    assert started
    assert not any(map(is_running, started))
