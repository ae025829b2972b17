"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

One canonical line per delivery is the hot path, so a JSON line is made in one step by orjson, and
all lines of one turn of the event loop are written together.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Literal

import orjson
import structlog

from relay.events.timestamps import from_clock

_LIBRARIES = ("aiormq", "aio_pika", "aiohttp", "asyncio")


def configure(
    *, style: Literal["auto", "console", "json"], level: str, worker: int | None = None
) -> None:
    """Set up structlog for the process. "auto" is the console on a terminal, else JSON.

    With a worker, each line says that it is this one's.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    is_console = style == "console" or (style == "auto" and sys.stderr.isatty())
    chain: list[structlog.typing.Processor] = [] if worker is None else [_naming(worker)]
    factory: structlog.typing.WrappedLogger
    wrapper: type[Any] = structlog.make_filtering_bound_logger(number)
    if is_console:
        # Its default, rich, shows every frame's variables: bodies and secrets.
        plain = structlog.dev.plain_traceback
        chain += [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(exception_formatter=plain),
        ]
        factory = structlog.PrintLoggerFactory(sys.stderr)
    else:
        chain.append(_json_line)
        lines = _Lines(sys.stderr.buffer)
        factory = lambda *_: lines  # noqa: E731  a factory of one logger for all
        wrapper = _json_logger(number)
    structlog.configure(
        processors=chain,
        wrapper_class=wrapper,
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    silence_libraries()


def _json_logger(lowest: int) -> type[structlog.BoundLoggerBase]:
    """Return what structlog's filtering logger is, without the context that nothing here binds."""
    levels = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}
    methods = {
        name: _method(name) if level >= lowest else _nothing for name, level in levels.items()
    }
    return type("JsonLogger", (structlog.BoundLoggerBase,), methods)


def _method(name: str) -> Callable[..., None]:
    def log(self: structlog.BoundLoggerBase, event: str, **fields: Any) -> None:
        fields["event"] = event
        if name == "exception":
            fields.setdefault("exc_info", True)
        line: Any = fields
        for process in self._processors:
            line = process(self._logger, name, line)
        self._logger.msg(line)

    return log


def _nothing(*_: object, **__: object) -> None:
    """Be too low a level."""


def _json_line(_: object, level: str, event: structlog.typing.EventDict) -> bytes:
    if event.get("exc_info"):
        structlog.processors.format_exc_info(None, level, event)
    event["level"] = "error" if level == "exception" else level
    event["timestamp"] = from_clock(time.time())
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate in someone's error, or a huge integer
        return json.dumps(event, default=str).encode() + b"\n"


def _naming(worker: int) -> structlog.typing.Processor:
    def name(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return name


class _Lines:
    """A logger of lines that are ready. Those of one turn of the event loop are one write."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []

    def msg(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:  # no event loop in this thread
                self._write()

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write(b"".join(lines))
        self._file.flush()


def silence_libraries() -> None:
    """Let the relay's own lines speak: the libraries repeat each lost connection several times."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
