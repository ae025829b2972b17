"""How a consumer's function is called, and what comes of all that it can do."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.calling import (
    BatchCaller,
    Caller,
    SingleCaller,
    WriterCaller,
    caller_of,
)
from consumers.kit.errors import Reject, Unavailable
from consumers.kit.event import Event
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from tests.support.callers import in_batches, one_by_one
from tests.support.eventually import eventually
from tests.support.seen_stores import EVENT, numbered

# Which of them.


def unopened() -> SeenStore:
    return SeenStore(SeenDatabase.at("sqlite::memory:"), service="crm-sync", keep_s=60)


async def test_a_consumer_is_called_by_the_kind_of_function_it_was_given() -> None:
    async def handle(_: Any) -> None: ...

    writing = Consumer("crm-sync", bindings=["#"])
    writing.writer(limit=7)(lambda _event, _db: None)

    found = caller_of(writing, seen=unopened(), timeout_s=1)

    assert isinstance(found, WriterCaller)
    assert isinstance(one_by_one(handle), SingleCaller)
    assert isinstance(in_batches(handle), BatchCaller)
    assert (found.limit, one_by_one(handle).limit, in_batches(handle, limit=9).limit) == (7, 1, 9)


def test_a_consumer_without_a_function_is_refused() -> None:
    consumer = Consumer("crm-sync", bindings=["#"])

    with pytest.raises(ValueError, match="crm-sync has 0 handlers; it needs exactly one"):
        caller_of(consumer, seen=None, timeout_s=1)


def test_a_writer_without_a_database_is_refused() -> None:
    consumer = Consumer("crm-sync", bindings=["#"])
    consumer.writer()(lambda _event, _db: None)

    with pytest.raises(ValueError, match="crm-sync has a writer, so it needs a `seen` database"):
        caller_of(consumer, seen=None, timeout_s=1)


# One by one.


async def test_an_event_is_handled() -> None:
    handled = []

    async def handler(event: Event) -> None:
        handled.append(event)

    assert await one_by_one(handler)([EVENT]) == [True]
    assert handled == [EVENT]


class Odd(Exception):
    """An error nobody else has."""


@pytest.mark.parametrize(
    "error",
    [
        Odd("no"),
        Reject("never"),
        Unavailable("later"),
        TimeoutError("of its own"),
        ExceptionGroup("several", [Odd("no")]),
        AssertionError(),
        MemoryError(),
        RecursionError(),
    ],
    ids=repr,
)
async def test_what_a_handler_raises_is_the_result(error: Exception) -> None:
    async def handler(_: Event) -> None:
        raise error

    assert await one_by_one(handler)([EVENT]) == [error]


async def test_even_what_no_coroutine_may_raise_is_a_result() -> None:
    async def handler(_: Event) -> None:
        next(iter(()))

    [result] = await one_by_one(handler)([EVENT])

    assert isinstance(result, RuntimeError)


async def test_a_handler_that_cancels_itself_has_failed_and_the_service_goes_on() -> None:
    async def handler(_: Event) -> None:
        raise asyncio.CancelledError

    [result] = await one_by_one(handler)([EVENT])

    assert isinstance(result, RuntimeError)
    assert "cancelled" in str(result)


async def test_a_handler_that_awaits_something_cancelled_has_failed() -> None:
    async def handler(_: Event) -> None:
        task = asyncio.create_task(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    [result] = await one_by_one(handler)([EVENT])

    assert isinstance(result, RuntimeError)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_what_ends_a_program_ends_it(error: type[BaseException]) -> None:
    async def handler(_: Event) -> None:
        raise error

    with pytest.raises(error):
        await one_by_one(handler)([EVENT])


async def test_a_panic_of_a_library_ends_the_service() -> None:
    """Nobody can tell what state it is in; the supervisor begins anew."""

    class Panic(BaseException):
        pass

    async def handler(_: Event) -> None:
        raise Panic

    with pytest.raises(Panic):
        await one_by_one(handler)([EVENT])


async def takes_nothing() -> None: ...


@pytest.mark.parametrize("handler", [takes_nothing, partial(takes_nothing, wrong=True)])
@pytest.mark.parametrize("caller_with", [one_by_one, in_batches])
async def test_a_function_that_takes_no_event_fails_and_the_service_goes_on(
    caller_with: Callable[..., Caller], handler: Any
) -> None:
    [result] = await caller_with(handler)([EVENT])

    assert isinstance(result, TypeError)


async def test_an_object_may_be_a_handler() -> None:
    class Handler:
        async def __call__(self, event: Event) -> None:
            raise Odd(event.id)

    [result] = await one_by_one(Handler())([EVENT])

    assert isinstance(result, Odd)


# How long.


async def hang(_: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("caller_with", [one_by_one, in_batches])
async def test_a_handler_that_hangs_is_ended(caller_with: Callable[..., Caller]) -> None:
    [result] = await caller_with(hang, timeout_s=0.01)([EVENT])

    assert isinstance(result, TimeoutError)
    assert str(result) == "it took longer than 0.01 s"


async def test_a_handlers_own_timeout_keeps_its_text() -> None:
    async def handler(_: Event) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    [result] = await one_by_one(handler)([EVENT])

    assert isinstance(result, TimeoutError)
    assert "longer" not in str(result)


async def test_an_error_while_a_handler_is_ended_is_its_result() -> None:
    async def handler(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise Odd

    [result] = await one_by_one(handler, timeout_s=0.01)([EVENT])

    assert isinstance(result, Odd)


async def test_a_handler_that_finishes_though_it_is_late_has_handled_the_event() -> None:
    async def handler(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    assert await one_by_one(handler, timeout_s=0.01)([EVENT]) == [True]


async def test_a_call_after_one_that_timed_out_is_as_any() -> None:
    async def handler(event: Event) -> None:
        if event.id == "0":
            await hang(event)

    caller = one_by_one(handler, timeout_s=0.01)
    results = [await caller([event]) for event in numbered(2)]

    assert isinstance(results[0][0], TimeoutError)
    assert results[1] == [True]


@pytest.mark.parametrize("caller_with", [one_by_one, in_batches])
async def test_the_end_of_the_service_goes_through(caller_with: Callable[..., Caller]) -> None:
    began = asyncio.Event()

    async def handler(_: Any) -> None:
        began.set()
        await hang(_)

    working = asyncio.create_task(caller_with(handler)([EVENT]))
    await began.wait()
    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working


async def test_the_end_of_the_service_is_not_taken_for_the_handlers_timeout() -> None:
    """Both at once: the handler is on its way out when the service ends."""
    leaving = asyncio.Event()

    async def handler(_: Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await asyncio.Event().wait()

    working = asyncio.create_task(one_by_one(handler, timeout_s=0.01)([EVENT]))
    await leaving.wait()
    working.cancel()

    await eventually(working.done)
    assert working.cancelled()
