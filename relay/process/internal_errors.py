"""Errors that nobody caught: those of callbacks, and of tasks that nobody awaits.

asyncio hands them to the exception handler of its event loop. After such an error some work has
ended halfway, so the process stops in order, and its supervisor starts it again.

These do not stop it:

    an error on one connection      the event loop has closed the connection; the others go on
    no file left for a connection   asyncio accepts again after a second
    a future of aiormq, aio-pika    when a connection ends they leave some behind; we reconnect
    a warning without an error      something was left open, or not awaited to its end
"""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from relay.errors import RelayError
from relay.process.safe_traceback import safe_traceback

_BROKER_LIBRARIES = {"aio_pika", "aiormq"}
_OURS = {"relay", "consumers"}

log = structlog.get_logger("relay")


@contextlib.contextmanager
def stopping(stop: asyncio.Event, count: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Set stop at an error that nobody caught, while the context is open and after it.

    Args:
        stop: stops the process in order.
        count: called at each error.

    Raises:
        RelayError: at the end, if such an error has set stop.
    """
    has_failed = False

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal has_failed
        error = context.get("exception")
        if error is None:  # the message is a fixed text of asyncio or aiohttp
            log.warning("event loop warning", reason=context["message"])
        elif "socket" in context or _is_left_behind(error, context):
            log.debug("library error", **safe_traceback(error))
        else:
            log.error("internal error", **safe_traceback(error))
            count()
            if "transport" not in context:
                has_failed = True
                stop.set()

    asyncio.get_running_loop().set_exception_handler(handle)
    yield
    if has_failed:
        raise RelayError("An internal error stopped the process; its traceback is in the log.")


def _is_left_behind(error: BaseException, context: dict[str, Any]) -> bool:
    """Return whether an error is that of a future which a broker library never awaits."""
    if "future" not in context:
        return False
    frames = traceback.walk_tb(error.__traceback__)
    packages = [_package(frame.f_globals.get("__name__", "")) for frame, _ in frames]
    if packages:
        return packages[0] in _BROKER_LIBRARIES and not _OURS.intersection(packages)
    # It was set, not raised.
    return isinstance(error, OSError) or _package(type(error).__module__) in _BROKER_LIBRARIES


def _package(module: str) -> str:
    return module.partition(".")[0]
