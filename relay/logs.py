"""Logging: JSON lines, or a console for a person at a terminal. Never bodies, never secrets.

One canonical line per delivery is the hot path, so the chain is short and written by orjson.
"""

import json
import logging
import sys
from typing import Any, Literal

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
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    is_console = style == "console" or (style == "auto" and sys.stderr.isatty())
    chain: list[structlog.typing.Processor] = [structlog.processors.add_log_level, timestamp]
    if worker is not None:
        chain.insert(0, _naming(worker))
    factory: structlog.typing.WrappedLogger
    if is_console:
        # Its default, rich, shows every frame's variables: bodies and secrets.
        plain = structlog.dev.plain_traceback
        chain += [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
        factory = structlog.PrintLoggerFactory(sys.stderr)
    else:
        chain += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    silence_libraries()


def _naming(worker: int) -> structlog.typing.Processor:
    def name(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["worker"] = worker
        return event

    return name


def _dumps(event: dict[str, Any], **_: object) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # a lone surrogate in someone's error, or a huge integer
        return json.dumps(event, default=str).encode()


def silence_libraries() -> None:
    """Let the relay's own lines speak: the libraries repeat each lost connection several times."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
