"""Messages whose properties pamqp alone can't decode, or not encode again, on a real broker."""

import struct
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import ChannelFrame

from consumers.kit import Consumer, Event, Reject
from relay.events import amqp
from relay.events.message import Message
from tests.support.consuming import KEY, Exchange, body, length, running, take
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

MESSAGE_TYPE, TIMESTAMP, HEADERS = 1 << 5, 1 << 6, 1 << 13


def long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def nested(levels: int) -> bytes:
    array = b""
    for _ in range(levels):
        array = b"A" + long(array)
    return array


ODD = {
    "timestamp in nanoseconds": (TIMESTAMP, struct.pack(">Q", 1_795_190_400_123_456_789)),
    "type not UTF-8": (MESSAGE_TYPE, b"\2\xff\xfe"),
    "longest type not UTF-8": (MESSAGE_TYPE, b"\xff" * 256),
    "header's name not UTF-8": (HEADERS, long(b"\2\xff\xfeb\1")),
    "header not UTF-8": (HEADERS, long(b"\1aS" + long(b"\xff\xfe"))),
    "header in nanoseconds": (HEADERS, long(b"\1aT" + b"\x7f" * 8)),
    "header beyond a float": (HEADERS, long(b"\1ad" + struct.pack(">d", 1e300))),
    "header nested deeply": (HEADERS, long(b"\1a" + nested(5000))),
}
every_odd = pytest.mark.parametrize("odd", ODD.values(), ids=ODD)


async def publish_raw(
    connection: AbstractConnection, exchange: str, key: str, odd: tuple[int, bytes], content: bytes
) -> None:
    """Publish what no client would encode; the broker takes it before what comes next."""
    flags, data = odd
    properties = flags.to_bytes(2) + data
    message = Message(id="", routing_key=key, properties=properties, body=content, received_at=0)
    async with connection.channel(publisher_confirms=False) as channel:
        wire = await channel.get_underlay_channel()
        payload = amqp.publish_frames([(exchange, message)], channel=wire.number, frame_max=131072)
        await wire.connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))


@every_odd
async def test_an_odd_message_is_handled_and_handed_on_like_any_other(  # noqa: PLR0917  fixtures
    broker_url: str,
    events: Exchange,
    name: str,
    connection: AbstractConnection,
    odd: tuple[int, bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    handled: list[tuple[str, int]] = []
    consumer = Consumer(name, bindings=["#"])

    @consumer.handler
    async def handle(event: Event) -> None:
        handled.append((event.id, event.attempt))
        if event.id == "odd":
            raise ValueError("no such contact")

    async with running(consumer, url=broker_url, exchange=events.name, retry_delays_s=[0.1]) as run:
        await publish_raw(connection, events.name, KEY, odd, body(event_id="odd"))
        await events.publish(*[body(event_id=f"e{number}") for number in range(30)])
        dead = await take(connection, f"{name}.dead")
        await eventually(lambda: run.count(name, "done") == 30)

    good = [(f"e{number}", 1) for number in range(30)]
    assert sorted(handled) == sorted([*good, ("odd", 1), ("odd", 2)])
    assert dead.headers["relay-reason"] == "ValueError: no such contact"
    assert await length(connection, name) == 0
    assert "lost" not in capsys.readouterr().out


@every_odd
async def test_the_commands_can_read_a_queue_with_an_odd_message_in_it(  # noqa: PLR0917  fixtures
    broker_url: str,
    events: Exchange,
    name: str,
    connection: AbstractConnection,
    odd: tuple[int, bytes],
    tmp_path: Path,
) -> None:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=events.name)
    relay = RelayCommand(tmp_path / "relay.toml")
    consumer = Consumer(name, bindings=["#"])

    @consumer.handler
    async def handle(event: Event) -> None:
        raise Reject(event.id)

    async with running(consumer, url=broker_url, exchange=events.name):
        await events.publish(body(event_id="e1"))
        await eventually(lambda: holds(connection, f"{name}.dead", 1))
    await publish_raw(connection, "", f"{name}.dead", odd, body(event_id="odd"))
    await eventually(lambda: holds(connection, f"{name}.dead", 2))

    listed = await relay("dead", "list", name)
    retried = await relay("dead", "retry", name, "--all")

    assert (listed.code, len(listed.rows)) == (0, 2), listed.err
    assert (retried.code, len(retried.rows)) == (0, 2), retried.err
    assert await length(connection, name) == 2


async def holds(connection: AbstractConnection, queue: str, count: int) -> bool:
    return await length(connection, queue) == count
