"""`make run` and `make demo` as the Makefile starts them, with the broker of the tests."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.broker import URLS_VARIABLE
from deploy.local.demo import Arrival, Sample, archive_differences, differences
from relay import vendors
from relay.events.topology import Topology
from tests.support.eventually import LIMIT_S
from tests.support.relay_process import NOWHERE


async def start(module: str, broker_url: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, URLS_VARIABLE: broker_url, **environment},
    )


@pytest.fixture
async def run(
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes down what the relay declares
    tmp_path: Path,
) -> AsyncIterator[Process]:
    """`make run` where the port it would like is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start(
            "deploy.local.run",
            broker_url,
            RELAY_BROKER__EXCHANGE=exchange,
            RELAY_OUTBOX__DIRECTORY=str(tmp_path / "outbox"),
            RELAY_INGRESS__PORT=str(taken.getsockname()[1]),
            RELAY_ADMIN__PORT="0",
        )
        yield process
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def lines_until(process: Process, words: str) -> list[str]:
    """Return the lines of output up to the first with these words."""
    assert process.stdout
    lines: list[str] = []
    async with asyncio.timeout(LIMIT_S):
        while not lines or words not in lines[-1]:
            line = await process.stdout.readline()
            assert line, lines
            lines.append(line.decode())
    return lines


async def end_of(process: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 2 * LIMIT_S)
    return process.returncode, out.decode(), err.decode()


def children_of(pid: int) -> dict[int, str]:
    """Return the command lines of a process's children by their ids."""
    ids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in ids}


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_the_lines_to_try_work_and_their_events_appear(
    run: Process, broker_url: str, exchange: str
) -> None:
    lines = await lines_until(run, "Ctrl-C ends it all")
    tried = [line.strip() for line in lines if "export" in line or "send swiftsell 02" in line]
    given = {URLS_VARIABLE: broker_url, "RELAY_BROKER__EXCHANGE": exchange}
    shell = await asyncio.create_subprocess_shell("; ".join(tried), env={**os.environ, **given})

    assert await asyncio.wait_for(shell.wait(), LIMIT_S) == 0
    assert "Hiiiii" in (await lines_until(run, "swiftsell.message.created.text"))[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_everything_in_order(run: Process, number: signal.Signals) -> None:
    await lines_until(run, "Ctrl-C ends it all")
    children = children_of(run.pid)

    run.send_signal(number)

    code, _, err = await end_of(run)
    assert code == 0
    assert '"event":"stopped"' in err
    assert len(children) == 3
    assert all(map(has_ended, children))


async def test_a_part_that_dies_ends_everything_with_an_error(run: Process) -> None:
    await lines_until(run, "Ctrl-C ends it all")
    children = children_of(run.pid)
    (relay,) = [pid for pid, command in children.items() if "serve" in command]

    os.kill(relay, signal.SIGKILL)

    code, _, err = await end_of(run)
    assert code == 1
    assert "`relay serve` ended with -9." in err
    assert "is taken: RELAY_INGRESS__PORT=" in err
    assert all(map(has_ended, children))


async def test_the_demo_misses_nothing_however_often_it_runs(broker_url: str) -> None:
    samples = [sample for name in vendors.discover() for sample in vendors.samples(name)]
    expected = [
        json.loads(Path(str(sample)).with_suffix(".expected.json").read_text())
        for sample in samples
    ]
    arrivals = sum(len(each.get("events", ["quarantined"])) for each in expected)
    quarantined = sum("quarantined" in each for each in expected)
    for _ in range(2):
        code, out, err = await end_of(await start("deploy.local.demo", broker_url))

        assert (code, err) == (0, "")
        summary = f"{len(samples)} samples sent, {arrivals} arrivals, nothing is missing."
        assert out.splitlines()[-2] == summary
        figures = re.fullmatch(
            r"All was sent twice, (\d+) events with a new id each time; "
            r"the archive holds (\d+) events, each once\.",
            out.splitlines()[-1],
        )
        assert figures
        assert int(figures[2]) == arrivals - quarantined + int(figures[1])
        assert "swiftsell/02-message-text.json\tswiftsell.message.created.text\t" in out


async def test_the_demo_fails_when_a_delivery_is_refused(broker_url: str) -> None:
    demo = await start("deploy.local.demo", broker_url, RELAY_INGRESS__BODY_LIMIT_BYTES="500")

    code, _, err = await end_of(demo)
    assert code == 1
    assert "Not every delivery was accepted." in err


def test_the_demo_names_what_is_missing_and_what_nobody_sent() -> None:
    samples = [
        Sample(source="acme", name="01.json", routing_keys=["a.b"]),
        Sample(source="acme", name="02.json", routing_keys=["a.c"]),
    ]
    ids = {("acme", "01.json"): ["1"], ("acme", "02.json"): ["2"]}
    arrivals = {"1": Arrival("a.b", "b", ""), "3": Arrival("a.d", "d", "")}

    assert list(differences(samples, ids, arrivals)) == [
        "acme/02.json: nothing arrived instead of a.c.",
        "a.d: nothing that was sent explains 3.",
    ]


def test_the_demo_names_what_is_not_exactly_once_in_the_archive() -> None:
    accepted = ["1", "2", "3", "1", "2", "5"]

    assert sorted(archive_differences(accepted, ["1", "1", "4", "3", "5"])) == [
        "The archive holds the event 1 2 times.",
        "The archive holds the event 2 0 times.",
        "The archive holds the event 4 1 times.",
    ]


async def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    process = await start("deploy.local.demo", NOWHERE)

    code, _, err = await end_of(process)

    assert code == 1
    assert err.splitlines()[-1].startswith("Not ready within 30 s: RabbitMQ at 127.0.0.1:1")
    assert "Traceback" not in err
