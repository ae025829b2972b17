"""What becomes of a message on a real broker, whatever its handler does."""

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter, defaultdict
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit import Consumer, Event, Reject, Unavailable
from tests.support.consuming import KEY, Exchange, body, length, running, take
from tests.support.eventually import eventually


async def test_an_event_is_handled_and_gone(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    handled: list[Event] = []
    consumer = Consumer(name, bindings=["*.message.#"])

    @consumer.handler
    async def handle(event: Event) -> None:
        handled.append(event)

    async with running(consumer, url=broker_url, exchange=events.name) as run:
        await events.publish(body("Hello", event_id="e1"))
        await events.publish(body("elsewhere"), key="swiftsell.conversation.closed")
        await eventually(lambda: run.count(name, "done") == 1)

    assert [(each.id, each.text, each.routing_key, each.attempt) for each in handled] == [
        ("e1", "Hello", KEY, 1)
    ]
    assert await length(connection, name) == 0


async def test_a_handler_that_fails_is_called_again_after_each_delay_and_then_no_more(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    calls: list[tuple[float, Event]] = []

    async def handle(event: Event) -> None:
        calls.append((time.monotonic(), event))
        raise ValueError("out of luck")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(
        consumer, url=broker_url, exchange=events.name, retry_delays_s=[0.1, 0.2]
    ) as run:
        await events.publish(body(event_id="e1"))
        dead = await take(connection, f"{name}.dead")

        assert run.count(name, "retried") == 2
        assert run.count(name, "dead") == 1

    assert [each.attempt for _, each in calls] == [1, 2, 3]
    assert {each.routing_key for _, each in calls} == {KEY}
    assert calls[1][0] - calls[0][0] >= 0.1
    assert calls[2][0] - calls[1][0] >= 0.2
    assert dead.headers["relay-reason"] == "ValueError: out of luck"
    assert dead.headers["relay-attempt"] == 3
    assert dead.headers["relay-routing-key"] == KEY
    assert (dead.message_id, dead.type) == ("e1", "message.created")
    assert dead.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_what_is_rejected_is_a_dead_letter_at_once(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    async def handle(event: Event) -> None:
        raise Reject(f"nobody knows {event.text}")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name):
        await events.publish(body("him"))

        dead = await take(connection, f"{name}.dead")

    assert dead.headers["relay-reason"] == "rejected: nobody knows him"
    assert dead.headers["relay-attempt"] == 1


@pytest.mark.parametrize(
    "poison", [b"", b"\xff\x00 nonsense", b'{"hello": "world"}', body().replace(b"data", b"date")]
)
async def test_what_is_no_event_is_a_dead_letter_and_blocks_nothing(
    broker_url: str,
    events: Exchange,
    name: str,
    connection: AbstractConnection,
    poison: bytes,
) -> None:
    handled: list[str] = []

    async def handle(event: Event) -> None:
        handled.append(event.text)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(
        consumer, url=broker_url, exchange=events.name, prefetch=1, concurrency=1
    ) as run:
        await events.publish(poison, body("after"))
        dead = await take(connection, f"{name}.dead")
        await eventually(lambda: run.count(name, "done") == 1)

    assert dead.body == poison
    assert str(dead.headers["relay-reason"]).startswith("no event: it")
    assert handled == ["after"]


async def test_events_of_one_conversation_are_handled_in_order_and_others_side_by_side(
    broker_url: str, events: Exchange, name: str
) -> None:
    handled: dict[str, list[int]] = defaultdict(list)
    now: Counter[str] = Counter()
    most_at_once = 0

    async def handle(event: Event) -> None:
        nonlocal most_at_once
        now[event.partitionkey] += 1
        assert now[event.partitionkey] == 1
        most_at_once = max(most_at_once, now.total())
        await asyncio.sleep(0.001 * (int(event.text) % 3))
        handled[event.partitionkey].append(int(event.text))
        now[event.partitionkey] -= 1

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, concurrency=16) as run:
        for number in range(0, 2000, 100):
            await events.publish(
                *[body(f"{n}", conversation=f"c{n % 23}") for n in range(number, number + 100)]
            )
        await eventually(lambda: run.count(name, "done") == 2000)

    assert all(numbers == sorted(numbers) for numbers in handled.values())
    assert len(handled) == 23
    assert most_at_once > 8


async def test_a_handler_that_hangs_is_given_up_and_the_event_tried_again(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    async def handle(event: Event) -> None:
        if event.text == "hang":
            await asyncio.Event().wait()

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(
        consumer,
        url=broker_url,
        exchange=events.name,
        handler_timeout_s=0.2,
        retry_delays_s=[0.1],
        concurrency=1,
    ) as run:
        await events.publish(body("hang"), body("next"))
        dead = await take(connection, f"{name}.dead")

        assert run.count(name, "done") == 1

    assert dead.headers["relay-reason"] == "TimeoutError: it took longer than 0.2 s"
    assert dead.headers["relay-attempt"] == 2


async def test_an_event_waits_for_what_is_down_and_no_attempt_is_counted(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    is_down = True
    attempts: list[int] = []

    async def handle(event: Event) -> None:
        attempts.append(event.attempt)
        if is_down:
            raise Unavailable("the CRM is down", retry_after_s=0.05)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, retry_delays_s=[]) as run:
        await events.publish(body())
        await eventually(lambda: len(attempts) > 5)
        readiness = await run.service.readiness()
        is_down = False
        await eventually(lambda: run.count(name, "done") == 1)

    assert set(attempts) == {1}
    assert readiness["consumers"][name]["waiting"] == "the CRM is down"  # type: ignore[index]
    assert await length(connection, f"{name}.dead") == 0


async def test_what_waits_too_long_in_hand_goes_to_the_end_of_its_queue(
    broker_url: str, events: Exchange, name: str
) -> None:
    handled: list[tuple[str, int, str]] = []

    async def handle(event: Event) -> None:
        handled.append((event.text, event.attempt, event.routing_key))
        if len(handled) < 5:
            raise Unavailable("the CRM is down", retry_after_s=0.05)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, hold_limit_s=0.1) as run:
        await events.publish(body("late"))
        await eventually(lambda: run.count(name, "done") == 1)

        assert run.count(name, "put_back") >= 1

    assert set(handled) == {("late", 1, KEY)}


async def test_a_copy_of_an_event_that_was_handled_is_skipped(
    tmp_path: Path, broker_url: str, events: Exchange, name: str
) -> None:
    handled: list[str] = []

    async def handle(event: Event) -> None:
        handled.append(event.id)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    for _ in range(2):  # the second run remembers the first
        async with running(
            consumer, url=broker_url, exchange=events.name, seen=tmp_path / "seen.db"
        ) as run:
            await events.publish(*[body(event_id="e1") for _ in range(5)])
            await eventually(
                lambda run=run: run.count(name, "done") + run.count(name, "duplicate") == 5
            )

    assert handled == ["e1"]


async def test_a_writer_writes_each_event_once_together_with_its_mark(
    tmp_path: Path, broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    consumer = Consumer(name, bindings=["#"])

    @consumer.writer(limit=50)
    def write(event: Event, db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS texts (text TEXT)")
        db.execute("INSERT INTO texts VALUES (?)", (event.text,))
        if event.text == "bad":
            raise Reject("bad")

    async with running(
        consumer, url=broker_url, exchange=events.name, seen=tmp_path / "seen.db", concurrency=1
    ) as run:
        sent = [body(f"{n}", event_id=f"e{n}") for n in range(200)]
        await events.publish(*sent, body("bad"), *sent)
        await take(connection, f"{name}.dead")
        await eventually(lambda: run.count(name, "done") + run.count(name, "duplicate") == 400)

    with contextlib.closing(sqlite3.connect(tmp_path / "seen.db")) as db:
        texts = [row[0] for row in db.execute("SELECT text FROM texts")]
    assert sorted(texts, key=int) == [f"{n}" for n in range(200)]


async def test_a_full_dead_letter_queue_loses_nothing(
    broker_url: str, events: Exchange, name: str, connection: AbstractConnection
) -> None:
    async def handle(_: Event) -> None:
        raise Reject("no")

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(consumer, url=broker_url, exchange=events.name, dead_max_length=5) as run:
        await events.publish(*[body() for _ in range(50)])
        found = [await take(connection, f"{name}.dead") for _ in range(50)]
        await eventually(lambda: run.count(name, "dead") == 50)

    assert len({each.message_id for each in found}) == 50


async def test_an_event_that_waits_keeps_its_place_however_long_a_queue_has_been_full(
    broker_url: str, events: Exchange, name: str
) -> None:
    calls: list[str] = []

    async def handle(event: Event) -> None:
        if event.text == "wrong":
            raise Reject("no such contact")
        calls.append(event.text)
        if len(calls) <= 2:
            raise Unavailable("the CRM is down", retry_after_s=0.05)

    consumer = Consumer(name, bindings=["#"], handler=handle)
    async with running(
        consumer, url=broker_url, exchange=events.name, dead_max_length=1, hold_limit_s=0.3
    ) as run:

        async def is_full() -> bool:
            await events.publish(body("wrong"))
            return run.service.subscriptions[0].waiting_for is not None

        await eventually(is_full)
        full_since = time.monotonic()
        await eventually(lambda: time.monotonic() > full_since + 0.5)
        await events.publish(body("late"))
        await eventually(lambda: run.count(name, "done") == 1)

        assert run.count(name, "put_back") == 0
