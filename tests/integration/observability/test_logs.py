"""What a log line shows when something went wrong."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

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


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    command = f"{sys.executable} -c '{LOGGING_EVERYTHING}' 2>/dev/full && echo done"
    process = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=False)

    assert process.stdout == b"done\n"
