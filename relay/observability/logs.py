"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

This is structlog's recipe for fast JSON logs, with one write per event-loop iteration:
https://www.structlog.org/en/stable/performance.html
"""

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from typing import Any, BinaryIO, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.events.timestamps import from_clock

_LIBRARIES = ("aiormq", "aio_pika", "aiohttp", "asyncio")


def configure(
    *, style: Literal["auto", "console", "json"], level: str, worker: int | None = None
) -> None:
    """Set up structlog for the process.

    Args:
        style: "auto" is the console on a terminal, and JSON elsewhere.
        level: the lowest to log.
        worker: the number that each line names, where several processes log to one place.
    """
    processors: list[Processor] = [] if worker is None else [_naming(worker)]
    processors += [structlog.processors.add_log_level, _add_timestamp]
    factory: Any
    if style == "console" or (style == "auto" and sys.stderr.isatty()):
        # Its default, rich, shows every frame's variables: bodies and secrets.
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=plain))
        factory = structlog.PrintLoggerFactory(sys.stderr)
    else:
        processors = [structlog.processors.format_exc_info, *processors, _json_line]
        lines = _BatchedLines(sys.stderr.buffer)
        factory = lines.logger
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    silence_libraries()


def silence_libraries() -> None:
    """Mute the libraries: they log each lost connection several times, and the relay once."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _naming(worker: int) -> Processor:
    def name(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return name


def _add_timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = from_clock(time.time())
    return event


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # a lone surrogate in someone's error, or a huge integer
        return json.dumps(event, default=str).encode()


class _BatchedLines:
    """structlog's BytesLogger, but that the lines of one event-loop iteration are one write."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: list[bytes] = []
        self._lock = threading.Lock()

    def logger(self, *_: object) -> "_BatchedLines":
        """Return the one logger of the process."""
        return self

    def msg(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            is_first = len(self._lines) == 1
        if is_first:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:  # this thread has no event loop
                self._write()

    debug = info = warning = error = critical = exception = msg

    def _write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        with contextlib.suppress(OSError):  # a log that nobody reads must stop nothing
            self._file.write(b"\n".join([*lines, b""]))
            self._file.flush()
