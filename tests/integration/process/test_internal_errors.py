"""An error that nobody caught: it shows in the log, and stops the process in order."""

import asyncio
import errno
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aiormq.exceptions import AMQPConnectionError

from relay.errors import RelayError
from relay.process import internal_errors

PROCESS = """
import asyncio, sys
import click
from relay.observability import logs
from relay.process import internal_errors, tasks
from relay.process.command import CommandWithErrors, run

def fail(body=b"a secret"):
    raise ValueError(body)

async def fail_in_task():
    fail()

async def main():
    stop = tasks.stop_signal()
    loop = asyncio.get_running_loop()
    with internal_errors.stopping(stop):
        started = eval(sys.argv[1])
        del started
        await stop.wait()
        print("stopped in order", flush=True)

logs.configure(style="json", level="info")
click.command(cls=CommandWithErrors, name="program")(lambda: run(main()))([])
"""

every_kind = pytest.mark.parametrize(
    "failing", ["loop.call_soon(fail, b'a secret')", "asyncio.create_task(fail_in_task())"]
)


@every_kind
def test_an_error_that_nobody_caught_stops_the_process_in_order(failing: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, failing],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    line, sentence = done.stderr.splitlines()
    logged = json.loads(line)
    assert (logged["event"], logged["level"]) == ("internal error", "error")
    assert logged["error"] == "ValueError"
    assert "in fail\n" in logged["traceback"]
    assert "a secret" not in done.stderr
    assert sentence.startswith("program: An internal error stopped the process")
    assert (done.stdout, done.returncode) == ("stopped in order\n", 1)


def raised_in(*modules: str) -> OSError:
    """Return an error that a function of the last module raised, called by those before it."""
    source = "def call(functions):\n    functions[0](functions[1:])"
    namespaces: list[dict[str, Any]] = [{"__name__": module} for module in modules]
    for namespace in namespaces:
        exec(source, namespace)  # noqa: S102  a frame that looks as if it were a library's
    first, *others = [namespace["call"] for namespace in namespaces]

    def fail(_: object) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone") as caught:
        first([*others, fail])
    error = caught.value
    assert error.__traceback__
    return error.with_traceback(error.__traceback__.tb_next)  # without the frame of this function


def on_a_connection() -> dict[str, object]:
    return {"exception": ValueError("wrong"), "transport": object()}


def out_of_files() -> dict[str, object]:
    return {"exception": OSError(errno.EMFILE, "Too many open files"), "socket": object()}


def left_by_aiormq() -> dict[str, object]:
    return {"exception": raised_in("aiormq.channel", "asyncio.streams"), "future": object()}


def set_by_aiormq() -> dict[str, object]:
    return {"exception": AMQPConnectionError(), "future": object()}


def unclosed() -> dict[str, object]:
    return {"client_session": object()}


def on_the_listener() -> dict[str, object]:
    return {"exception": OSError("gone")}


def ours_called_by_aiormq() -> dict[str, object]:
    return {"exception": raised_in("aiormq.channel", "relay.broker.session"), "future": object()}


def give(context: dict[str, object]) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "What happened.", **context})


@pytest.mark.parametrize(
    ("context", "counted"),
    [
        (on_a_connection, 1),
        (out_of_files, 0),
        (left_by_aiormq, 0),
        (set_by_aiormq, 0),
        (unclosed, 0),
    ],
)
async def test_what_others_leave_behind_stops_nothing(
    context: Callable[[], dict[str, object]], counted: int
) -> None:
    stop, calls = asyncio.Event(), itertools.count()

    with internal_errors.stopping(stop, lambda: next(calls)):
        give(context())

    assert not stop.is_set()
    assert next(calls) == counted


@pytest.mark.parametrize("context", [on_the_listener, ours_called_by_aiormq])
async def test_an_error_of_our_own_stops_the_process(
    context: Callable[[], dict[str, object]],
) -> None:
    stop = asyncio.Event()

    with pytest.raises(RelayError), internal_errors.stopping(stop):
        give(context())

    assert stop.is_set()
