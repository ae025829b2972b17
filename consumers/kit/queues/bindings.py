"""A queue's bindings made to be those of the code, no more and no less.

AMQP 0-9-1 can't list bindings, so the service records them in a queue beside its own: each message
there is a list of patterns, and all messages together name at least what is bound. A pattern is
recorded before it is bound, and old records are deleted after their patterns were unbound. So the
next start finds what a crash in between leaves behind.
"""

import orjson
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from consumers.kit.queues import topology
from relay.broker.connection import CONNECTION_ERRORS, answering, declare, opened_channel
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Binding, Queue, Topology

_MAX_RECORDS = 1000


async def update(
    connection: AbstractConnection,
    *,
    service: str,
    exchange: str,
    patterns: tuple[str, ...],
    is_removing: bool,
) -> set[str]:
    """Bind the service's queue, and remove what earlier versions of the service had bound.

    The new ones come first, so no event is missed in between.

    Args:
        connection: to the broker.
        service: its name, and its queue's.
        exchange: the events' exchange.
        patterns: what the queue is to get.
        is_removing: whether other bindings are removed, or left as they are.

    Returns:
        The patterns that were removed.

    Raises:
        TopologyError: the exchange is missing, or this user may not bind to it.
        BrokerError: the connection was lost.
    """
    name = topology.bindings_queue(service)
    wanted = tuple([Binding(exchange=exchange, pattern=each, to=service) for each in patterns])
    try:
        async with opened_channel(connection, on_return_raises=True) as channel:
            records = await _records(channel, name)
            bound = {each for record in records for each in _bindings(record, service)}
            if is_removing or not bound.issuperset(wanted):
                await _record(channel, name, exchange, patterns)
            await declare(connection, Topology(bindings=wanted), passive=False)
            if not is_removing:
                return set()
            unwanted = bound.difference(wanted)
            queue = await channel.get_queue(service, ensure=False)
            for binding in unwanted:
                async with answering(f"unbind {binding.pattern}"):
                    await queue.unbind(binding.exchange, binding.pattern)
            for record in records:
                await record.ack()
    except (AMQPError, *CONNECTION_ERRORS) as error:
        raise BrokerError(f"The bindings of {service} can't be changed: {error}.") from error
    return {binding.pattern for binding in unwanted}


async def recorded(connection: AbstractConnection, service: str) -> set[Binding]:
    """Return what a service's queue is bound to, as far as it was recorded.

    Raises:
        BrokerError: the connection was lost.
    """
    name = topology.bindings_queue(service)
    try:
        needed = Topology(queues=(Queue(name=name, arguments={}),))
        await declare(connection, needed, passive=True)
        async with opened_channel(connection) as channel:
            records = await _records(channel, name)
            return {each for record in records for each in _bindings(record, service)}
    except TopologyError:  # a service that is bound by hand, or not made with the kit
        return set()
    except (AMQPError, *CONNECTION_ERRORS) as error:
        raise BrokerError(f"The bindings of {service} can't be read: {error}.") from error


async def _records(channel: AbstractChannel, name: str) -> list[AbstractIncomingMessage]:
    """Return the records. Unless acknowledged, they are back when the channel closes."""
    queue = await channel.get_queue(name, ensure=False)
    records: list[AbstractIncomingMessage] = []
    while len(records) < _MAX_RECORDS:
        async with answering(f"read {name}"):
            record = await queue.get(fail=False, timeout=None)  # ours is the limit
        if record is None:
            break
        records.append(record)
    return records


def _bindings(record: AbstractIncomingMessage, service: str) -> list[Binding]:
    """Read a record; a message that someone else put there is none."""
    try:
        content = orjson.loads(record.body)
        return [
            Binding(exchange=str(content["exchange"]), pattern=str(pattern), to=service)
            for pattern in content["patterns"]
        ]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return []


async def _record(
    channel: AbstractChannel, name: str, exchange: str, patterns: tuple[str, ...]
) -> None:
    message = Message(
        orjson.dumps({"exchange": exchange, "patterns": patterns}),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )
    retry_exchange = await channel.get_exchange(topology.exchange_of(name), ensure=False)
    async with answering(f"publish to {name}"):
        await retry_exchange.publish(message, routing_key=name, mandatory=True)
