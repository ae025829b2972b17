"""What a service is: a name, binding patterns, and one function for its events."""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from consumers.kit.event import Event
from relay.events.topology import MAX_ROUTING_KEY_BYTES

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PATTERN_WORD = re.compile(r"[*#]|[^*#.]+")

Handler = Callable[[Event], Awaitable[None]]
BatchHandler = Callable[[Sequence[Event]], Awaitable[None]]


class Database(Protocol):
    """The connection of the `seen` store, within a transaction: sqlite3's or psycopg's."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run a statement; the placeholder is `?` in SQLite and `%s` in PostgreSQL."""


Writer = Callable[[Event, Database], None]


class Consumer:
    """A service that subscribes. Give it one handler, then pass it to `run`.

    Args:
        name: of the service and its queue: up to 64 of a-z, 0-9, _ and -.
        bindings: patterns of routing keys, such as `*.message.#`.
        handler: the same as decorating it with `handler`.

    Raises:
        ValueError: the name or a pattern can't be used.
        TypeError: the handler is no `async def`.
    """

    def __init__(
        self, name: str, *, bindings: Sequence[str], handler: Handler | None = None
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a service: up to 64 of a-z, 0-9, _ and -")
        if isinstance(bindings, str) or not bindings:
            raise ValueError("bindings is a list of at least one pattern, such as ['*.message.#']")
        for pattern in bindings:
            _check_pattern(pattern)
        self.name = name
        self.bindings = tuple(dict.fromkeys(bindings))
        self.handle_one: Handler | None = None
        self.handle_batch: BatchHandler | None = None
        self.write: Writer | None = None
        self.batch_limit = 1
        self.schema = ""
        if handler is not None:
            self.handler(handler)

    def handler(self, function: Handler) -> Handler:
        """Decorate the function that is awaited with each event.

        It returns when the event is handled. It raises Reject to give the event up, Unavailable to
        wait for something that is down, and anything else to try again after a delay.

        Raises:
            TypeError: it is no `async def`.
            ValueError: the consumer has a handler already.
        """
        self._check_handler(function, is_async=True)
        self.handle_one = function
        return function

    def batch_handler(self, *, limit: int) -> Callable[[BatchHandler], BatchHandler]:
        """Decorate the function that is awaited with up to limit events: all there are, in order.

        It returns when all are done. When it raises, each half of them is tried, until those that
        fail are found. It must be idempotent by itself: the `seen` store is not used.

        Raises:
            TypeError: it is no `async def`.
            ValueError: limit is not at least 1, or the consumer has a handler already.
        """
        _check_limit(limit)

        def decorate(function: BatchHandler) -> BatchHandler:
            self._check_handler(function, is_async=True)
            self.handle_batch, self.batch_limit = function, limit
            return function

        return decorate

    def writer(self, *, limit: int = 100, schema: str = "") -> Callable[[Writer], Writer]:
        """Decorate a plain function that writes an event into the database of the `seen` store.

        What it writes is committed together with the mark that the event was seen: exactly once.
        It runs in the store's thread, for up to limit events per transaction, and must not begin or
        end one itself.

        Args:
            limit: events per transaction, at most.
            schema: statements that create what it writes to, such as `CREATE TABLE IF NOT EXISTS
                ...;`, executed in a transaction after each connect.

        Raises:
            TypeError: it is an `async def`.
            ValueError: limit is not at least 1, or the consumer has a handler already.
        """
        _check_limit(limit)

        def decorate(function: Writer) -> Writer:
            self._check_handler(function, is_async=False)
            self.write, self.batch_limit, self.schema = function, limit, schema
            return function

        return decorate

    def _check_handler(self, function: Callable[..., Any], *, is_async: bool) -> None:
        if self.handle_one or self.handle_batch or self.write:
            raise ValueError(f"{self.name} has a handler already; it needs exactly one")
        if _is_async(function) != is_async:
            wanted = "a handler is an `async def`" if is_async else "a writer is a plain `def`"
            raise TypeError(f"{wanted}, and {function!r} is not")


def _check_pattern(pattern: str) -> None:
    if len(pattern.encode()) > MAX_ROUTING_KEY_BYTES:
        raise ValueError(f"a pattern has at most {MAX_ROUTING_KEY_BYTES} bytes: {pattern}")
    if not all(_PATTERN_WORD.fullmatch(word) for word in pattern.split(".")):
        raise ValueError(
            f"{pattern!r} never matches: between dots stands a word, * for any, or # for any number"
        )


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"limit is at least 1, not {limit}")


def _is_async(function: Callable[..., Any]) -> bool:
    """Return whether it is an `async def`, even if wrapped, or an object called like one."""
    while isinstance(function, partial):
        function = function.func
    called = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
