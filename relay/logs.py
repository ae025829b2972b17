"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

One canonical line per delivery is the hot path, so a JSON line is made in one step by orjson, and
all lines of one turn of the event loop are written together.
"""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal

import orjson
import structlog

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
    wrapper = structlog.make_filtering_bound_logger(number)
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
        wrapper = type("JsonLogger", (_Straight, wrapper), {})
    structlog.configure(
        processors=chain,
        wrapper_class=wrapper,
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    silence_libraries()


class _Straight(structlog.BoundLoggerBase):
    """structlog's way from a call to a line, without the context that nothing here binds."""

    def _proxy_to_logger(
        self, method_name: str, event: str | None = None, *_: Any, **fields: Any
    ) -> Any:
        fields["event"] = event
        line: Any = fields
        for process in self._processors:
            line = process(self._logger, method_name, line)
        return self._logger.msg(line)


def _json_line(_: object, level: str, event: structlog.typing.EventDict) -> bytes:
    if event.get("exc_info"):
        structlog.processors.format_exc_info(None, level, event)
    event["level"] = level
    event["timestamp"] = datetime.now(UTC).isoformat()[:-6] + "Z"
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

    debug = info = warning = error = critical = exception = msg

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        self._file.write(b"".join(lines))
        self._file.flush()


def silence_libraries() -> None:
    """Let the relay's own lines speak: the libraries repeat each lost connection several times."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
