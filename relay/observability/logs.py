"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

A JSON line is one step of ours instead of structlog's own chain, since there is one per request; a
thread writes the lines, see log_writer.py.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from relay.events.timestamps import from_clock
from relay.process.log_writer import LogWriter

_LEVELS = ("debug", "info", "warning", "error", "critical")
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
    logger: type[Any] = structlog.make_filtering_bound_logger(level)
    descriptor = _stderr()
    writer = LogWriter(descriptor)
    if style == "console" or (style == "auto" and os.isatty(descriptor)):
        # Its default, rich, shows every frame's variables: bodies and secrets.
        plain = structlog.dev.plain_traceback
        processors += [structlog.processors.add_log_level, _add_timestamp]
        processors += [structlog.dev.ConsoleRenderer(exception_formatter=plain), _encoded]
    else:
        processors.append(_json_line)
        logger = _json_logger(level, worker, writer)
    structlog.configure(
        processors=processors,
        wrapper_class=logger,
        logger_factory=writer.logger,
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


def line_logger(event: str) -> Callable[[bytes], None]:
    """Return what logs an event at level info with its fields, which are a JSON object already.

    A line of JSON is put together from bytes, which takes half the time; for a person at a terminal
    the fields are read again. To be called once logging is set up.
    """
    logger = structlog.get_logger("relay").bind()
    if not logger.is_enabled_for(logging.INFO):
        return lambda _: None
    end = getattr(logger, "json_end", None)
    if end is None:
        return lambda fields: logger.info(event, **orjson.loads(fields))
    write, end = logger.write, end % event.encode()

    def log_json(fields: bytes) -> None:
        write(b"".join((fields[:-1], end, from_clock(time.time()).encode(), b'"}')))

    return log_json


def _json_logger(
    level: str, worker: int | None, writer: LogWriter
) -> type[structlog.BoundLoggerBase]:
    """Return structlog's filtering logger without a context: nothing here binds any."""
    filtering = structlog.make_filtering_bound_logger(level)
    numbers = logging.getLevelNamesMapping()
    lowest = numbers[level.upper()]
    logged = [name for name in _LEVELS if numbers[name.upper()] >= lowest]
    methods: dict[str, object] = {name: _log_method(name) for name in logged}
    number = b"" if worker is None else b',"worker":%d' % worker
    methods["json_end"] = b',"event":"%%b"%b,"level":"info","timestamp":"' % number
    methods["write"] = staticmethod(writer.msg)
    return type("JsonLogger", (filtering,), methods)


def _log_method(level: str) -> Callable[..., None]:
    def log(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:
        fields["event"] = event
        line: Any = fields
        for process in self._processors:
            line = process(self._logger, level, line)
        self._logger.msg(line)

    return log


def _json_line(_: WrappedLogger, level: str, event: EventDict) -> bytes:
    if event.get("exc_info"):
        structlog.processors.format_exc_info(None, level, event)
    event["level"] = level
    event["timestamp"] = from_clock(time.time())
    return to_json(event)


def to_json(value: object) -> bytes:
    """Return any value as JSON: what JSON has no form for as its text."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:  # a lone surrogate in someone's error, or a huge integer
        return json.dumps(value, default=str).encode()
