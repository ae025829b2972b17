"""RabbitMQ connections: opening one, saying why it failed, declaring the topology.

Everything that talks to the broker starts here; publishing itself is in publisher.py.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import Iterable, Sequence

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel
from yarl import URL

from relay.broker import lenient_decoding
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Binding, Exchange, Queue, Topology

Connection = AbstractConnection

CONNECT_TIMEOUT_S = 10
_CLOSE_TIMEOUT_S = 5

ERRORS = (*CONNECTION_EXCEPTIONS, EOFError, ValueError)
"""What the libraries raise when a connection can't be made or does not last."""


async def connect(url: str, *, heartbeat_s: int) -> AbstractConnection:
    """Open a connection to one broker.

    Args:
        url: `amqp://` or `amqps://`, the latter with `cafile`, `certfile`, `keyfile` as query.
        heartbeat_s: a peer silent for three times this long is taken for gone.

    Raises:
        BrokerError: it says what went wrong, without the password.
    """
    lenient_decoding.install()
    address = URL(url).update_query(heartbeat=heartbeat_s)
    name = f"relay {platform.node()} {os.getpid()}"
    connection = aio_pika.Connection(address, client_properties={"connection_name": name})
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT_S)
    except ERRORS as error:
        raise BrokerError(f"RabbitMQ at {public_address(url)} {_explain(error)}.") from error
    finally:
        if connection.transport is None:
            await connection.close()  # or its destructor would, when no loop runs any more
    return connection


async def connect_to_any(urls: Sequence[str], *, heartbeat_s: int) -> AbstractConnection:
    """Open a connection to the first broker that accepts one.

    Raises:
        BrokerError: none did; the text has a sentence for each.
    """
    failures = []
    for url in urls:
        try:
            return await connect(url, heartbeat_s=heartbeat_s)
        except BrokerError as error:
            failures.append(str(error))
    raise BrokerError(" ".join(failures))


async def close(connection: AbstractConnection) -> None:
    """Close politely, but not for long: a dead peer never answers."""
    with contextlib.suppress(TimeoutError, *ERRORS):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()


def public_address(url: str) -> str:
    """Return host, port and virtual host of a broker URL: what may be logged of it."""
    parsed = URL(url)
    port = parsed.port or (5671 if parsed.scheme == "amqps" else 5672)
    vhost = parsed.path.removeprefix("/")
    return f"{parsed.host}:{port}{'/' + vhost if vhost else ''}"


def _explain(error: BaseException) -> str:
    """Say what a failed connect means. The reason comes from the broker or the system."""
    match error:
        case TimeoutError():
            return f"did not answer within {CONNECT_TIMEOUT_S} s"
        case aiormq.exceptions.ProbableAuthenticationError():
            return "refused the user name or password"
        case aiormq.exceptions.AuthenticationError():
            return "offers no login method this relay knows"
        case aiormq.exceptions.InvalidFrameError() if "Connection.OpenOk" in str(error):
            # The broker closed instead of opening. aiormq 7.2 drops its words, so say which
            # two things it may be; can go once it raises ConnectionClosed here.
            return "refused the virtual host: it does not exist, or this user may not use it"
        case aiormq.exceptions.IncompatibleProtocolError():
            return "does not speak AMQP 0-9-1"
        case _:
            reason = str(error) or type(error).__name__
            return f"can't be reached: {reason.rstrip('.')}"


def reason_of(closed: Iterable[asyncio.Future[None]]) -> str:
    """Say why a channel or connection was closed, from its `closing` future."""
    for future in closed:
        if not future.cancelled() and (error := future.exception()):
            return str(error).rstrip(".") or type(error).__name__
    return "closed"


async def declare(connection: AbstractConnection, topology: Topology, *, passive: bool) -> None:
    """Declare what is needed, or with passive only check that exchanges and queues are there.

    Raises:
        TopologyError: one is missing, has other properties, or may not be declared by this user.
        BrokerError: the connection was lost meanwhile.
    """
    for exchange in topology.exchanges:
        await _declare_one(connection, exchange, passive=passive)
    for queue in topology.queues:
        await _declare_one(connection, queue, passive=passive)
    for binding in () if passive else topology.bindings:
        await _declare_one(connection, binding, passive=False)


async def _declare_one(
    connection: AbstractConnection, it: Exchange | Queue | Binding, *, passive: bool
) -> None:
    """Declare one object on a channel of its own, since a refusal closes the channel."""
    what = f"{type(it).__name__} {it.to if isinstance(it, Binding) else it.name}"
    try:
        async with connection.channel() as channel:
            await _declare_on(await channel.get_underlay_channel(), it, passive=passive)
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        raise TopologyError(
            f"{what} exists with other properties ({error.args[0]}); undo the change of the "
            "settings; or delete it, a queue once it is empty; or set broker.declare_topology = "
            "false to use it as it is."
        ) from error
    except aiormq.exceptions.ChannelNotFoundEntity as error:
        raise TopologyError(
            f"{what} does not exist; create it with `relay topology --apply` or set "
            "broker.declare_topology = true."
        ) from error
    except aiormq.exceptions.ChannelAccessRefused as error:
        raise TopologyError(
            f"{what} may not be declared by this user ({error.args[0]}); grant the permission "
            "or set broker.declare_topology = false."
        ) from error
    except ERRORS as error:
        raise BrokerError(f"The connection was lost while declaring {what}: {error}.") from error


async def _declare_on(
    channel: AbstractChannel, it: Exchange | Queue | Binding, *, passive: bool
) -> None:
    match it:
        case Exchange():
            await channel.exchange_declare(
                it.name,
                exchange_type=it.kind,
                durable=True,
                passive=passive,
                arguments=it.arguments,
            )
        case Queue():
            await channel.queue_declare(
                it.name, durable=True, passive=passive, arguments=it.arguments
            )
        case Binding(is_to_exchange=True):
            await channel.exchange_bind(
                destination=it.to, source=it.exchange, routing_key=it.pattern
            )
        case Binding():
            await channel.queue_bind(it.to, it.exchange, routing_key=it.pattern)
