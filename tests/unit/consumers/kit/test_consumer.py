"""What a service may be called, what it may bind, and the function it is given."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from consumers.kit import Consumer, Database, Event, Unavailable
from tests.support.rows import for_each


async def handle(_: Event) -> None: ...


async def handle_all(_: Sequence[Event]) -> None: ...


def write(_: Event, __: Database) -> None: ...


@pytest.mark.parametrize("name", ["a", "0", "crm-sync", "crm_sync-2", "x" * 64])
def test_a_name_is_that_of_a_queue(name: str) -> None:
    assert Consumer(name, bindings=["#"]).name == name


@for_each(
    name=["", "A", "-a", "_a", "a.b", "a b", "a\n", "é", "x" * 65, "amq.gen", "webhooks.dead"]
)
def test_a_name_no_queue_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a service: up to 64 of a-z, 0-9, _ and -"):
        Consumer(name, bindings=["#"])


def test_bindings_are_kept_in_order_and_once() -> None:
    bindings = ["*.message.#", "*.conversation.closed", "*.message.#"]

    assert Consumer("a", bindings=bindings).bindings == ("*.message.#", "*.conversation.closed")


@pytest.mark.parametrize("bindings", ["*.message.#", "", [], ()])
def test_bindings_are_a_list_of_at_least_one(bindings: Any) -> None:
    with pytest.raises(ValueError, match="bindings is a list of at least one pattern"):
        Consumer("a", bindings=bindings)


@pytest.mark.parametrize("pattern", ["a" * 255, "é" * 127, "#"])
def test_a_pattern_has_as_many_bytes_as_a_routing_key(pattern: str) -> None:
    assert Consumer("a", bindings=[pattern]).bindings == (pattern,)


@pytest.mark.parametrize("pattern", ["a" * 256, "é" * 128])
def test_a_longer_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="a pattern has at most 255 bytes"):
        Consumer("a", bindings=["#", pattern])


def test_a_handler_is_given_or_decorated() -> None:
    given = Consumer("a", bindings=["#"], handler=handle)
    decorated = Consumer("a", bindings=["#"])

    assert decorated.handler(handle) is handle
    assert given.handle_one is decorated.handle_one is handle
    assert (given.batch_limit, given.handle_batch, given.write) == (1, None, None)


def test_a_function_keeps_being_what_it_was() -> None:
    batches, writes = Consumer("a", bindings=["#"]), Consumer("a", bindings=["#"])

    assert batches.batch_handler(limit=5)(handle_all) is handle_all
    assert writes.writer()(write) is write
    assert (batches.handle_batch, batches.batch_limit) == (handle_all, 5)
    assert (writes.write, writes.batch_limit) == (write, 100)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_batch_holds_at_least_one_event(limit: int) -> None:
    """With none, a worker would take nothing, and end."""
    consumer = Consumer("a", bindings=["#"])

    for decorate in (consumer.batch_handler, consumer.writer):
        with pytest.raises(ValueError, match=f"limit is at least 1, not {limit}"):
            decorate(limit=limit)


class Sync:
    """An object that is called, and a method."""

    async def __call__(self, _: Event) -> None: ...

    async def sync(self, _: Event) -> None: ...

    def write(self, _: Event, __: Database) -> None: ...


ASYNC = [handle, Sync(), Sync().sync, partial(handle), partial(Sync()), partial(partial(handle))]
PLAIN = [write, Sync().write, partial(write), print, Sync, lambda _: None]


def ways_to_give(function: Any) -> list[Callable[[], object]]:
    consumer = Consumer("a", bindings=["#"])
    return [
        lambda: Consumer("a", bindings=["#"], handler=function),
        lambda: consumer.handler(function),
        lambda: consumer.batch_handler(limit=5)(function),
    ]


@for_each(function=ASYNC)
def test_what_can_be_awaited_is_a_handler_and_no_writer(function: Any) -> None:
    consumer = Consumer("a", bindings=["#"], handler=function)

    assert consumer.handle_one is function
    with pytest.raises(TypeError, match=r"^a writer is a plain `def`, and .+ is not$"):
        Consumer("a", bindings=["#"]).writer()(function)


@for_each(function=PLAIN)
def test_what_cannot_be_awaited_is_a_writer_and_no_handler(function: Any) -> None:
    """Found out by its first event, it would have done its work and yet have failed."""
    for give in ways_to_give(function):
        with pytest.raises(TypeError, match=r"^a handler is an `async def`, and .+ is not$"):
            give()

    (consumer := Consumer("a", bindings=["#"])).writer()(function)
    assert consumer.write is function


def test_a_second_handler_is_refused_where_it_is_given() -> None:
    decorated, batches, writes = [Consumer("a", bindings=["#"]) for _ in range(3)]
    decorated.handler(handle)
    batches.batch_handler(limit=5)(handle_all)
    writes.writer()(write)

    for consumer in (decorated, batches, writes):
        seconds: list[Callable[[], object]] = [
            lambda each=consumer: each.handler(handle),  # type: ignore[misc]
            lambda each=consumer: each.batch_handler(limit=5)(handle_all),  # type: ignore[misc]
            lambda each=consumer: each.writer()(write),  # type: ignore[misc]
        ]
        for give in seconds:
            with pytest.raises(ValueError, match="a has a handler already; it needs exactly one"):
                give()


@pytest.mark.parametrize("retry_after_s", ["30", b"30", float("nan"), [30]])
def test_how_long_to_wait_is_a_number(retry_after_s: Any) -> None:
    """A header that nobody converted would otherwise be found out where no handler is to blame."""
    with pytest.raises(TypeError, match="retry_after_s is a number of seconds or None, not "):
        Unavailable("busy", retry_after_s=retry_after_s)


@for_each(retry_after_s=[None, 0, -1, 30, 0.5, float("inf")])
def test_any_number_of_seconds_is_one(retry_after_s: float | None) -> None:
    assert Unavailable("busy", retry_after_s=retry_after_s).retry_after_s == retry_after_s


@for_each(pattern=["", "a..b", ".", "swiftsell.##", "a*.b", "a.#b", "**"])
def test_a_pattern_that_never_matches_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="never matches"):
        Consumer("crm-sync", bindings=["#", pattern])


@for_each(pattern=["#", "*", "swiftsell.#", "*.message.#", "#.form_response", "a.b"])
def test_a_pattern_of_words_and_wildcards_is_taken(pattern: str) -> None:
    assert Consumer("crm-sync", bindings=[pattern]).bindings == (pattern,)
