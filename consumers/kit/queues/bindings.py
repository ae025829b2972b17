"""A queue's bindings made to be those of the code, no more and no less.

AMQP 0-9-1 can't list bindings, so the service remembers them in a queue beside its own: each
message there is a list of patterns, and all messages together name at least what is bound. What
is wanted is written down before it is bound, and what was unbound is forgotten afterwards, so a
crash in between leaves nothing behind that the next start would not find.
"""

import orjson
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from consumers.kit.queues import topology
from relay.broker import connection as broker
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Binding, Queue, Topology

_MOST_NOTES = 1000


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
    wanted = tuple([Binding(exchange=exchange, pattern=it, to=service) for it in patterns])
    try:
        async with connection.channel(on_return_raises=True) as channel:
            notes = await _notes(channel, name)
            bound = {it for note in notes for it in _bindings(note, service)}
            if is_removing or not bound.issuperset(wanted):
                await _write_down(channel, name, exchange, patterns)
            await broker.declare(connection, Topology(bindings=wanted), passive=False)
            if not is_removing:
                return set()
            unwanted = bound.difference(wanted)
            queue = await channel.get_queue(service, ensure=False)
            for it in unwanted:
                await queue.unbind(it.exchange, it.pattern)
            for note in notes:
                await note.ack()
    except (AMQPError, *broker.ERRORS) as error:
        raise BrokerError(f"The bindings of {service} can't be changed: {error}.") from error
    return {it.pattern for it in unwanted}


async def remembered(connection: AbstractConnection, service: str) -> set[Binding]:
    """Return what a service's queue is bound to, as far as it was written down.

    Raises:
        BrokerError: the connection was lost.
    """
    name = topology.bindings_queue(service)
    try:
        needed = Topology(queues=(Queue(name=name, arguments={}),))
        await broker.declare(connection, needed, passive=True)
        async with connection.channel() as channel:
            return {it for note in await _notes(channel, name) for it in _bindings(note, service)}
    except TopologyError:  # a service that is bound by hand, or not made with the kit
        return set()
    except (AMQPError, *broker.ERRORS) as error:
        raise BrokerError(f"The bindings of {service} can't be read: {error}.") from error


async def _notes(channel: AbstractChannel, name: str) -> list[AbstractIncomingMessage]:
    """Return what was written down. Unacknowledged, it is back once the channel is closed."""
    queue = await channel.get_queue(name, ensure=False)
    notes: list[AbstractIncomingMessage] = []
    while len(notes) < _MOST_NOTES and (note := await queue.get(fail=False)):
        notes.append(note)
    return notes


def _bindings(note: AbstractIncomingMessage, service: str) -> list[Binding]:
    """Read a note; one that someone else put there says nothing."""
    try:
        written = orjson.loads(note.body)
        return [
            Binding(exchange=str(written["exchange"]), pattern=str(it), to=service)
            for it in written["patterns"]
        ]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return []


async def _write_down(
    channel: AbstractChannel, name: str, exchange: str, patterns: tuple[str, ...]
) -> None:
    message = Message(
        orjson.dumps({"exchange": exchange, "patterns": patterns}),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )
    moving = await channel.get_exchange(topology.exchange_of(name), ensure=False)
    await moving.publish(message, routing_key=name, mandatory=True)
