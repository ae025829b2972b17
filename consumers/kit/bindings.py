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

from consumers.kit import topology
from relay import broker
from relay.errors import BrokerError
from relay.topology import Binding, Topology

_MOST_NOTES = 1000


async def add(
    connection: AbstractConnection, *, service: str, exchange: str, patterns: tuple[str, ...]
) -> None:
    """Bind the service's queue, which leaves other bindings as they are.

    Raises:
        TopologyError: the exchange is missing, or this user may not bind to it.
        BrokerError: the connection was lost.
    """
    bindings = tuple([Binding(exchange=exchange, pattern=it, to=service) for it in patterns])
    await broker.declare(connection, Topology(bindings=bindings), passive=False)


async def replace(
    connection: AbstractConnection, *, service: str, exchange: str, patterns: tuple[str, ...]
) -> set[str]:
    """Bind the service's queue, and remove what earlier versions of the service had bound.

    The new ones come first, so no event is missed in between.

    Returns:
        The patterns that were removed.

    Raises:
        TopologyError, BrokerError: as for add.
    """
    try:
        async with connection.channel(on_return_raises=True) as channel:
            notes = await _notes(channel, topology.bindings_queue(service))
            bound = {pattern for note in notes for pattern in _patterns(note)}
            if bound != set(patterns):
                await _write_down(channel, topology.bindings_queue(service), patterns)
            await add(connection, service=service, exchange=exchange, patterns=patterns)
            unwanted = bound - set(patterns)
            queue = await channel.get_queue(service, ensure=False)
            for pattern in unwanted:
                await queue.unbind(exchange, pattern)
            if bound != set(patterns):
                for note in notes:
                    await note.ack()
    except (AMQPError, *broker.ERRORS) as error:
        raise BrokerError(f"The bindings of {service} can't be changed: {error}.") from error
    return unwanted


async def _notes(channel: AbstractChannel, name: str) -> list[AbstractIncomingMessage]:
    """Return what was written down. Unacknowledged, it is back once the channel is closed."""
    queue = await channel.get_queue(name, ensure=False)
    notes: list[AbstractIncomingMessage] = []
    while len(notes) < _MOST_NOTES and (note := await queue.get(fail=False)):
        notes.append(note)
    return notes


def _patterns(note: AbstractIncomingMessage) -> list[str]:
    try:
        patterns = orjson.loads(note.body)
    except orjson.JSONDecodeError:
        return []
    return [it for it in patterns if type(it) is str] if type(patterns) is list else []


async def _write_down(channel: AbstractChannel, name: str, patterns: tuple[str, ...]) -> None:
    message = Message(
        orjson.dumps(patterns),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )
    await channel.default_exchange.publish(message, routing_key=name, mandatory=True)
