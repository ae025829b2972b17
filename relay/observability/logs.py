"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

This is structlog's recipe for fast JSON logs; a thread writes the lines, see log_writer.py:
https://www.structlog.org/en/stable/performance.html
"""

import json
import logging
import os
import sys
import time
from typing import Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.events.timestamps import from_clock
from relay.process.log_writer import LogWriter

_LIBRARIES = ("aiormq", "aio_pika", "aiohttp", "asyncio")

log = structlog.get_logger("relay")


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
    descriptor = _stderr()
    if style == "console" or (style == "auto" and os.isatty(descriptor)):
        # Its default, rich, shows every frame's variables: bodies and secrets.
        plain = structlog.dev.plain_traceback
        processors += [structlog.dev.ConsoleRenderer(exception_formatter=plain), _encoded]
    else:
        processors = [structlog.processors.format_exc_info, *processors, _json_line]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=LogWriter(descriptor).logger,
        cache_logger_on_first_use=True,
    )
    silence_libraries()
    # What other libraries log would go to stderr at once, and block with it.
    logging.basicConfig(handlers=[_LibraryHandler()])


def silence_libraries() -> None:
    """Mute the libraries: they log each lost connection several times, and the relay once."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _LibraryHandler(logging.Handler):
    """Logs what a library logs to the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record without its traceback, which may quote a body."""
        try:
            reason = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit its text
            reason = str(record.msg)
        log.warning("library warning", logger=record.name, reason=reason)


def _stderr() -> int:
    """Return stderr's descriptor; that of /dev/null if it was closed at start, or is no file."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):
        return os.open(os.devnull, os.O_WRONLY)


def _naming(worker: int) -> Processor:
    def name(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return name


def _add_timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = from_clock(time.time())
    return event


def _encoded(_: WrappedLogger, __: str, rendered: EventDict) -> bytes:
    return cast("str", rendered).encode(errors="backslashreplace")


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # a lone surrogate in someone's error, or a huge integer
        return json.dumps(event, default=str).encode()
