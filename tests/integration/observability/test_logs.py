"""What a log line shows when something went wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import pytest

TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]*Z")

FAILING = """
import sys, structlog
from relay.observability import logs

def handle(body):
    raise KeyError("kind")

logs.configure(style=sys.argv[1], level="info")
try:
    handle("Bearer " + "a secret".upper())
except KeyError:
    structlog.get_logger().exception("delivery failed")
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_shows_no_variables(style: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", FAILING, style], stderr=subprocess.PIPE, text=True, check=True
    )

    assert "delivery failed" in process.stderr
    assert "KeyError: 'kind'" in process.stderr
    assert "A SECRET" not in process.stderr


LOGGING_FROM_THREADS = """
import threading, time, structlog
from relay.observability import logs

def log(name):
    for number in range(50):
        structlog.get_logger().info("line", thread=name, number=number)

def pausing(frame, event, _):
    if frame.f_code.co_filename == logs.__file__:
        time.sleep(0)  # lets another thread run between any two lines of the module
        return pausing

logs.configure(style="json", level="info")
threading.settrace(pausing)
threads = [threading.Thread(target=log, args=[name]) for name in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_no_line_is_lost_when_threads_log_at_once() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGGING_FROM_THREADS], stderr=subprocess.PIPE, check=True
    )

    lines = [json.loads(line) for line in process.stderr.splitlines()]
    logged = {(line["thread"], line["number"]) for line in lines}
    assert logged == {(name, number) for name in range(4) for number in range(50)}


LOGGING_EVERYTHING = """
import asyncio, pathlib, structlog
from relay.observability import logs

async def log():
    logger = structlog.get_logger()
    logger.debug("too low")
    logger.info("plain", path=pathlib.Path("a"), text="\\ud83d", number=2**70)
    try:
        raise ValueError("wrong")
    except ValueError:
        logger.exception("failed")

logs.configure(style="json", level="info", worker=3)
asyncio.run(log())
"""


def test_a_json_line_holds_fields_then_event_worker_level_and_time() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGGING_EVERYTHING], stderr=subprocess.PIPE, check=True
    )

    plain, failed = [json.loads(line) for line in process.stderr.splitlines()]
    assert list(plain) == ["path", "text", "number", "event", "worker", "level", "timestamp"]
    assert (plain["path"], plain["text"], plain["number"]) == ("a", "\ud83d", 2**70)
    assert (plain["level"], failed["level"]) == ("info", "error")
    assert failed["exception"].endswith("ValueError: wrong")
    assert datetime.fromisoformat(plain["timestamp"]).tzinfo == UTC


LOGGING_ENCODED = """
import sys, structlog
from relay.observability import logs

logs.configure(style=sys.argv[1], level=sys.argv[2], worker=3)
fields = {"source": "acme", "text": 'a "b" }', "status": 200}
structlog.get_logger().info("delivery", **fields)
logs.line_logger("delivery")(logs.to_json(fields))
"""


@pytest.mark.parametrize(("style", "level"), [("json", "info"), ("console", "debug")])
def test_a_line_of_encoded_fields_is_like_any_other(style: str, level: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGGING_ENCODED, style, level], stderr=subprocess.PIPE, check=True
    )

    usual, encoded = [TIME.sub("", line) for line in process.stderr.decode().splitlines()]
    assert "acme" in usual
    assert encoded == usual


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_of_encoded_fields_has_a_level(style: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGGING_ENCODED, style, "warning"],
        stderr=subprocess.PIPE,
        check=True,
    )

    assert process.stderr == b""


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    command = f"{shlex.quote(sys.executable)} -c '{LOGGING_EVERYTHING}' 2>/dev/full && echo done"
    process = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False)

    assert process.stdout == b"done\n"


LOGGING_MORE_THAN_FITS = """
import asyncio, structlog
from relay.observability import logs
from relay.process import log_writer

async def log():
    for number in range(20_000):
        structlog.get_logger().info("line", number=number, text="x" * 100)
    print(log_writer.dropped.collect()[0].samples[0].value, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, input)

logs.configure(style="STYLE", level="info")
asyncio.run(log())
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_lines_that_nobody_reads_are_dropped_counted_and_reported(style: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOGGING_MORE_THAN_FITS.replace("STYLE", style)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        dropped = int(float(process.stdout.readline()))  # nothing has read stderr until now

        _, read = process.communicate(b"\n", timeout=30)

    lines = read.splitlines()
    assert process.returncode == 0
    assert dropped > 0
    assert "log lines dropped" in lines[-1].decode()
    assert str(dropped) in lines[-1].decode()
    assert len(lines) == 20_000 - dropped + 1


def test_a_process_ends_though_nobody_reads_its_log() -> None:
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOGGING_MORE_THAN_FITS.replace("STYLE", "json")],
            input=b"\n",
            stdout=subprocess.PIPE,
            stderr=writing,
            timeout=30,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert done.returncode == 0


def test_a_process_without_stderr_logs_nowhere() -> None:
    command = f"{shlex.quote(sys.executable)} -c '{LOGGING_EVERYTHING}' 2>&- && echo done"
    process = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False)

    assert process.stdout == b"done\n"


LOGGING_BY_A_LIBRARY = """
import logging
from relay.observability import logs

logs.configure(style="json", level="info")
logging.getLogger("library").warning("odd: %s", 1)
logging.getLogger("aiormq").error("lost")
"""


def test_what_a_library_logs_is_a_line_of_ours() -> None:
    process = subprocess.run(
        [sys.executable, "-c", LOGGING_BY_A_LIBRARY], stderr=subprocess.PIPE, check=True
    )

    (line,) = [json.loads(line) for line in process.stderr.splitlines()]
    assert (line["event"], line["logger"], line["reason"]) == (
        "library warning",
        "library",
        "odd: 1",
    )
