"""Publishing alone, in one process: the relay's Session, or aio-pika's `exchange.publish`.

    python -m tests.bench.candidates.publisher KIND URL EXCHANGE SECONDS

KIND is `session` or `aio-pika`. Both publish the same messages with the same properties, which
both encode for each message, persistent, mandatory, confirmed. Prints what it took.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import aio_pika
import orjson
import uvloop

from relay.broker.connection import close, connect
from relay.broker.outcome import PublishOutcome
from relay.broker.session import Session
from relay.events import amqp
from relay.events.message import Message
from relay.observability.metrics import BrokerMetrics
from relay.outbox.database import Pending
from tests.bench.candidates.stopwatch import Stopwatch
from tests.bench.harness import workload

_BATCH, _IN_FLIGHT = 500, 2_000  # as the forwarder, with the default settings
_AT_ONCE = 64
"""aio-pika's calls under way; more cost more each, since aiormq walks all for an ack of many."""


class _Original(NamedTuple):
    message: Message
    type: str
    headers: dict[str, str]
    head: bytes


def _originals() -> Iterator[_Original]:
    for message in workload.messages():
        event = orjson.loads(message.body)
        headers = {"vendor": event["vendor"], "source": event["vendor"]}
        head = amqp.properties_head(headers)
        yield _Original(message, event["type"], headers, head)


async def _session(url: str, exchange: str, seconds: float) -> dict[str, float]:
    connection = await connect(url, heartbeat_s=10)
    session: Session[Pending] = Session(
        connection,
        exchange_of=lambda _: exchange,
        confirm_timeout_s=30,
        metrics=BrokerMetrics(None),
    )
    await session.open()
    confirmed = asyncio.Event()

    def note(outcome: PublishOutcome[Pending]) -> None:
        if outcome.failed:
            raise SystemExit("The broker refused messages.")
        confirmed.set()

    session.on_outcome = note
    originals = itertools.cycle(_originals())
    watch, sent, ends_at = Stopwatch(), 0, time.monotonic() + seconds
    while time.monotonic() < ends_at or session.in_flight:
        confirmed.clear()
        limit = min(_BATCH, _IN_FLIGHT - session.in_flight)
        if limit <= 0 or time.monotonic() >= ends_at:
            await confirmed.wait()
            continue
        batch = [_pending(sent, original) for original in itertools.islice(originals, limit)]
        await session.publish(batch)
        sent += limit
        await asyncio.sleep(0)
    result = watch.result(sent)
    await close(connection)
    return result


def _pending(seq: int, original: _Original) -> Pending:
    message = original.message
    properties = amqp.complete_properties(
        original.head, message.id, int(message.received_at), original.type
    )
    return Pending(seq, message._replace(properties=properties))


async def _aio_pika(url: str, exchange_name: str, seconds: float) -> dict[str, float]:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(exchange_name)
        originals = itertools.cycle(_originals())
        watch, ends_at = Stopwatch(), time.monotonic() + seconds

        async def publish() -> int:
            sent = 0
            while time.monotonic() < ends_at:
                original = next(originals)
                await exchange.publish(
                    aio_pika.Message(
                        original.message.body,
                        content_type=amqp.CONTENT_TYPE,
                        headers=dict(original.headers),
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        message_id=original.message.id,
                        timestamp=int(original.message.received_at),
                        type=original.type,
                        app_id=amqp.APP_ID,
                    ),
                    original.message.routing_key,
                )
                sent += 1
            return sent

        return watch.result(sum(await asyncio.gather(*[publish() for _ in range(_AT_ONCE)])))


def main() -> None:
    """Publish, and print what it took."""
    kind, url, exchange, seconds = sys.argv[1:]
    publish = {"session": _session, "aio-pika": _aio_pika}[kind]
    print(json.dumps(uvloop.run(publish(url, exchange, float(seconds)))))


if __name__ == "__main__":
    main()
