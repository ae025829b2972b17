"""A signed sample of each source, through the relay's code and RabbitMQ, and back.

Nobody else sees it: it goes through an exchange of its own into a queue that only this connection
can read. Both are gone with the connection.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from aio_pika import ExchangeType
from aio_pika import Message as Published
from aio_pika.abc import (
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aiormq.exceptions import ChannelAccessRefused

from relay import vendors
from relay.broker import alone
from relay.broker.connection import answering, opened_channel, wire_of
from relay.cli.checks.finding import Finding
from relay.configured import sources_of
from relay.errors import BrokerError, RelayError, Unauthenticated
from relay.events.message import Message
from relay.ingress.processing import Source, process_delivery
from relay.settings import Settings
from relay.vendors.kit.request import Request

_WAIT_S = 10.0
_CHANNEL = 40  # one that nothing else here opens
_PLAIN = b'{"type": "relay.check"}'
"""Sent where a vendor has no samples."""
_CLOCKS_APART_S = 5
_SIGNATURES_OLD_S = 300
_EXPIRING = "relay.check.expiring"


class _ToPublish(NamedTuple):
    message: Message


class OwnRoute(NamedTuple):
    """An exchange, and a queue that gets all of it."""

    exchange: AbstractExchange
    queue: AbstractQueue


@contextlib.asynccontextmanager
async def own_route(connection: AbstractConnection, exchange: str) -> AsyncIterator[OwnRoute]:
    """Declare an exchange and a queue for this connection alone; they are gone at the end.

    Raises:
        BrokerError: RabbitMQ does not answer.
    """
    name = f"{exchange}.check.{secrets.token_hex(8)}"
    async with opened_channel(connection) as channel:
        async with answering(f"declare {name}"):
            own = await channel.declare_exchange(name, ExchangeType.TOPIC, auto_delete=True)
            try:
                queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
                await queue.bind(own, "#")
            except BaseException:
                with contextlib.suppress(Exception):
                    async with connection.channel() as other:
                        await other.exchange_delete(name)
                raise
        try:
            yield OwnRoute(own, queue)
        finally:
            async with answering(f"delete {name}"):
                await queue.delete(if_unused=False, if_empty=False)


async def round_trip(connection: AbstractConnection, settings: Settings) -> Finding:
    """Send a signed sample of each source through RabbitMQ and back.

    Raises:
        RelayError: a sample was refused or not understood, or came back changed or not at all.
    """
    samples, unplayed = [], []
    for name, source in sources_of(settings).items():
        message = _sample_of(name, source)
        (unplayed.append(name) if message is None else samples.append(message))
    not_played = f"; {', '.join(unplayed)} can't be played here" if unplayed else ""
    if not samples:
        return Finding(f"nothing to send{not_played}")
    begun = time.perf_counter()
    try:
        async with own_route(connection, settings.broker.exchange) as route:
            for message in samples:
                await _publish(connection, route.exchange.name, message)
            await _receive_all(route.queue, samples)
    except ChannelAccessRefused:
        return _not_tried(settings)
    took_ms = (time.perf_counter() - begun) * 1000
    sent = f"{len(samples)} signed, accepted, published and back in {took_ms:.0f} ms"
    return Finding(f"{sent}{not_played}")


def _not_tried(settings: Settings) -> Finding:
    pattern = f"^{settings.broker.exchange}\\.check\\."
    return Finding(
        f"not tried: it takes the rights to configure, write and read {pattern}, which only this "
        "check needs",
        is_warning=True,
    )


def _sample_of(name: str, source: Source) -> Message | None:
    """Return what becomes of the first sample that becomes an event; None if nobody can sign one.

    Raises:
        RelayError: the source refuses what its own vendor would send, or does not understand it.
    """
    documented = [sample.read_bytes() for sample in vendors.samples(source.origin.vendor)]
    reason = "it is no event"
    for body in documented or [_PLAIN]:
        try:
            found = process_delivery(
                _signed(source, body), source, time.time(), secrets.token_hex(16)
            )
        except ValueError:
            return None  # only the sender has the key
        except Unauthenticated as error:
            if not documented:
                return None  # its proof is in a body of its own shape
            raise RelayError(f"sources.{name} refuses a signed sample: {error}.") from error
        if found.messages and not found.reason:
            return found.messages[0]
        reason = found.reason or reason
        if found.ignored:
            return None
    if not documented:
        return None
    raise RelayError(f"sources.{name} does not understand a sample of its vendor: {reason}.")


def _signed(source: Source, body: bytes) -> Request:
    """Return a body as the vendor would send it, as it comes in."""
    secret, now = next(iter(source.secrets.values), ""), time.time()
    return vendors.sign(source.vendor, body, secret, now).as_received(now)


async def _publish(connection: AbstractConnection, exchange: str, message: Message) -> None:
    """Publish as the relay does, and wait for the confirm.

    Raises:
        BrokerError: RabbitMQ did not take it.
    """
    outcome = await alone.publish(
        wire_of(connection), _CHANNEL, (exchange, _ToPublish(message)), _WAIT_S
    )
    if outcome.failed:
        words = outcome.refusal.reason if outcome.refusal else "it was returned or refused"
        raise BrokerError(f"RabbitMQ did not take {message.routing_key}: {words}.")


async def _receive_all(queue: AbstractQueue, sent: Sequence[Message]) -> None:
    """Wait for what was sent, and compare it.

    Raises:
        BrokerError: it did not come back in time, or came back changed.
    """
    waiting = {message.id: message for message in sent}
    try:
        async with asyncio.timeout(_WAIT_S), queue.iterator(no_ack=True) as received:
            async for one in received:
                message = waiting.pop(str(one.message_id), None)
                if message is None or (one.routing_key, one.body) != (
                    message.routing_key,
                    message.body,
                ):
                    raise BrokerError("What came back from RabbitMQ is not what was sent.")
                if not waiting:
                    return
    except TimeoutError as error:
        raise BrokerError(f"{len(waiting)} did not come back within {_WAIT_S:g} s.") from error


# The broker's clock


async def clocks(connection: AbstractConnection, settings: Settings) -> Finding:
    """Compare this clock with RabbitMQ's: of a message that expired it says when.

    https://www.rabbitmq.com/docs/dlx#effects

    Raises:
        BrokerError: they are so far apart that signatures with a time would be refused.
    """
    try:
        async with own_route(connection, settings.broker.exchange) as route:
            before = time.time()
            expired_at = await _expire(connection, route)
            after = time.time()
    except ChannelAccessRefused:
        return _not_tried(settings)
    apart_s = max(before - 1 - expired_at, expired_at - after, 0)  # it says whole seconds
    text = f"this clock and RabbitMQ's are {apart_s:.0f} s apart"
    if apart_s > _SIGNATURES_OLD_S:
        raise BrokerError(f"{text[0].upper()}{text[1:]}: set both right, with chrony for example.")
    if apart_s > _CLOCKS_APART_S:
        return Finding(f"{text}: let something keep both right, such as chrony", is_warning=True)
    return Finding("this clock and RabbitMQ's agree" if apart_s < 1 else text)


async def _expire(connection: AbstractConnection, route: OwnRoute) -> float:
    """Let a message expire, and return when RabbitMQ says that was, in seconds since 1970."""
    arguments: dict[str, Any] = {"x-message-ttl": 0, "x-dead-letter-exchange": route.exchange.name}
    name = f"{route.exchange.name}.expiring"
    async with opened_channel(connection) as channel:
        async with answering(f"declare {name}"):
            expiring = await channel.declare_queue(
                name, exclusive=True, auto_delete=True, arguments=arguments
            )
            await expiring.bind(route.exchange.name, _EXPIRING)
        async with answering("publish"):
            await route.exchange.publish(Published(b""), _EXPIRING)
        async with asyncio.timeout(_WAIT_S), route.queue.iterator(no_ack=True) as received:
            async for one in received:
                if (expired_at := _expired_at(one)) is not None:
                    await expiring.delete(if_unused=False, if_empty=False)
                    return expired_at
    raise BrokerError("The connection to RabbitMQ was lost.")


def _expired_at(message: AbstractIncomingMessage) -> float | None:
    """Return when a message was dead-lettered; None if it was not."""
    match message.headers.get("x-death"):
        case [{"time": datetime() as moment}, *_]:
            return moment.timestamp()
    return None
