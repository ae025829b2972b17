"""Large deliveries are understood in a process of their own, and nothing else differs."""

import asyncio
import contextlib
import gc
import gzip
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import uvloop
from structlog.testing import capture_logs

from relay import vendors
from relay.errors import ServiceUnavailable, Unauthenticated
from relay.events.message import Origin
from relay.ingress.processing import process_delivery
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.vendors.kit.request import Request
from tests.integration.conftest import Start, source
from tests.support.eventually import eventually

TOKEN = "s3cret-token"
ACME = source("swiftsell", TOKEN, name="acme")
(ELEMENT,) = orjson.loads(vendors.samples("swiftsell")[1].read_bytes())["events"]
LARGE = orjson.dumps({"events": [ELEMENT | {"number": number} for number in range(1000)]})


def request(body: bytes = LARGE, token: str = TOKEN) -> Request:
    return Request(body=body, headers={"authorization": token})


def pid_of(subprocess: ProcessingSubprocess) -> int:
    assert subprocess._process
    return subprocess._process.pid


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_understands_as_the_relay_itself_would(subprocess: ProcessingSubprocess) -> None:
    assert await subprocess.process_delivery(request(), ACME, 1.5, "d1") == process_delivery(
        request(), ACME, 1.5, "d1"
    )


async def test_what_can_not_be_understood_is_quarantined_aside_too(
    subprocess: ProcessingSubprocess,
) -> None:
    found = await subprocess.process_delivery(request(LARGE[:-1]), ACME, 1.5, "d1")

    assert found == process_delivery(request(LARGE[:-1]), ACME, 1.5, "d1")
    assert found.reason == "not_json"


async def test_it_refuses_whoever_the_relay_itself_would(subprocess: ProcessingSubprocess) -> None:
    with pytest.raises(Unauthenticated):
        await subprocess.process_delivery(request(token="forged"), ACME, 1.5, "d1")

    assert (await subprocess.process_delivery(request(), ACME, 1.5, "d1")).messages


async def test_a_refused_delivery_is_not_left_for_the_collector(
    subprocess: ProcessingSubprocess,
) -> None:
    body = bytes(bytearray(LARGE))
    references = sys.getrefcount(body)
    gc.collect()
    gc.disable()
    try:
        for token in ("forged", "", "other"):
            with contextlib.suppress(Unauthenticated):
                await subprocess.process_delivery(request(body, token), ACME, 1.5, "d1")
        left = sys.getrefcount(body) - references
    finally:
        gc.enable()

    assert left == 0


async def test_one_process_serves_all_one_after_the_other(subprocess: ProcessingSubprocess) -> None:
    found = await asyncio.gather(
        *[subprocess.process_delivery(request(), ACME, n, "d1") for n in range(5)]
    )
    pid = pid_of(subprocess)
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")

    assert [processed.messages[0].received_at for processed in found] == [0, 1, 2, 3, 4]
    assert pid_of(subprocess) == pid


async def test_it_comes_after_the_relay_on_a_busy_machine(subprocess: ProcessingSubprocess) -> None:
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")

    theirs, ours = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (pid_of(subprocess), 0))
    assert theirs == min(ours + 10, 19)


async def test_a_process_that_died_costs_one_delivery_an_answer_and_is_replaced(
    subprocess: ProcessingSubprocess,
) -> None:
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")
    os.kill(pid_of(subprocess), signal.SIGKILL)

    with pytest.raises(ServiceUnavailable):
        await subprocess.process_delivery(request(), ACME, 1.5, "d1")

    assert (await subprocess.process_delivery(request(), ACME, 1.5, "d1")).messages


async def test_an_answer_nobody_waits_for_is_not_given_to_the_next(
    subprocess: ProcessingSubprocess,
) -> None:
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")
    first = asyncio.create_task(subprocess.process_delivery(request(), ACME, 1.5, "d1"))
    await asyncio.sleep(0)
    first.cancel()

    found = await subprocess.process_delivery(request(b'{"events":[]}'), ACME, 2.5, "d1")

    assert found.messages == []


async def test_a_process_that_can_not_be_started_costs_a_delivery_and_leaves_no_file_open(
    subprocess: ProcessingSubprocess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_before = count_open_files()
    refused = []
    for program in (tmp_path, tmp_path / "missing"):
        monkeypatch.setattr(sys, "executable", str(program))
        with pytest.raises(ServiceUnavailable) as error:
            await subprocess.process_delivery(request(), ACME, 1.5, "d1")
        refused.append(error)
    open_after = count_open_files()
    monkeypatch.undo()

    assert open_after == open_before
    assert (await subprocess.process_delivery(request(), ACME, 1.5, "d1")).messages


async def test_the_process_ends_on_close(subprocess: ProcessingSubprocess) -> None:
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")
    pid = pid_of(subprocess)

    await subprocess.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_large_delivery_is_stored_and_answered_like_any_other(start: Start) -> None:
    relay = await start(ACME, body_limit_bytes=5_000_000)

    answer = await relay.post("/in/acme", LARGE, headers={"Authorization": TOKEN})
    refused = await relay.post("/in/acme", LARGE, headers={"Authorization": "forged"})

    ids = [row.message.id for row in await relay.stored()]
    assert (answer.status, refused.status) == (200, 401)
    assert orjson.loads(answer.body)["events"] == ids
    assert len(set(ids)) == 1000


@pytest.mark.parametrize("count", [301, 2000])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_small_delivery_of_many_events_is_processed_aside_too(
    start: Start, subprocess: ProcessingSubprocess, count: int, encoding: str
) -> None:
    relay = await start(ACME)
    body = b'{"events":[%b]}' % b",".join([b'{"event":{"type":"a"}}'] * count)
    sent = gzip.compress(body) if encoding == "gzip" else body
    headers = {"Authorization": TOKEN, "Content-Encoding": encoding}

    answer = await relay.post("/in/acme", sent, headers=headers)

    assert len(body) < 64 * 1024
    assert len(orjson.loads(answer.body)["events"]) == count
    assert subprocess._process


@pytest.mark.parametrize("element", [b"1", b"[]", b'""', b"null"])
@pytest.mark.parametrize("count", [2000, 9000])
async def test_a_small_delivery_of_many_elements_that_are_no_objects_is_processed_aside_too(
    start: Start, subprocess: ProcessingSubprocess, count: int, element: bytes
) -> None:
    relay = await start(ACME)
    body = b'{"events":[{"event":{"type":"a"}},%b]}' % b",".join([element + b"  "] * count)

    answer = await relay.post("/in/acme", body, headers={"Authorization": TOKEN})

    assert 4096 < len(body) < 64 * 1024
    assert len(orjson.loads(answer.body)["quarantined"]) == count
    assert subprocess._process


@pytest.mark.parametrize("count", [1, 100])
async def test_a_small_delivery_of_few_events_starts_no_process(
    start: Start, subprocess: ProcessingSubprocess, count: int
) -> None:
    relay = await start(ACME)
    body = b'{"events":[%b]}' % b",".join(
        [b'{"event":{"type":"a"}, "more": "%b"}' % (b"a" * 99)] * count
    )

    answer = await relay.post("/in/acme", body, headers={"Authorization": TOKEN})

    assert len(orjson.loads(answer.body)["events"]) == count
    assert not subprocess._process


BROKEN = """
def authenticate(request, secrets):
    raise KeyError(request.body.decode())
"""


async def test_a_bug_in_authenticate_is_a_500_as_in_the_relay_itself_and_tells_no_text(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[relay.vendors]\nbroken = broken_vendor\n")
    (tmp_path / "broken_vendor.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = replace(ACME, origin=Origin(vendor="broken", source="broken"))
    relay = await start(broken, ACME, body_limit_bytes=5_000_000)

    with capture_logs() as lines:
        failed = await relay.post("/in/broken", b"hush" * 20_000)
    accepted = await relay.post("/in/acme", LARGE, headers={"Authorization": TOKEN})

    assert (failed.status, accepted.status) == (500, 200)
    (line,) = [line for line in lines if line["event"] == "delivery failed"]
    assert (line["error"], line["source"]) == ("KeyError", "broken")
    assert "in authenticate" in line["traceback"]
    assert "hush" not in capfd.readouterr().err + str(lines)


def test_it_is_started_without_a_fork() -> None:
    """To fork takes longer, the more memory the relay has, and nobody is answered meanwhile."""
    forks: list[None] = []
    os.register_at_fork(before=lambda: forks.append(None))

    async def process() -> None:
        subprocess = ProcessingSubprocess()
        await subprocess.process_delivery(request(), ACME, 1.5, "d1")
        await subprocess.close()

    uvloop.run(process())

    assert forks == []


async def test_its_end_of_the_socket_is_all_that_keeps_it_alive(
    subprocess: ProcessingSubprocess,
) -> None:
    """When its parent is killed, the system closes the parent's end."""
    await subprocess.process_delivery(request(), ACME, 1.5, "d1")
    process, streams = subprocess._process, subprocess._streams
    assert process
    assert streams

    streams[1].close()

    await eventually(lambda: process.poll() == 0)
