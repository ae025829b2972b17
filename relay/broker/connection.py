"""RabbitMQ connections: open one, explain why that failed, declare the topology.

Everything that talks to the broker starts here. Publishing is in session.py and publisher.py.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractChannel as AioPikaChannel
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.abc import AbstractChannel
from aiormq.abc import AbstractConnection as WireConnection
from yarl import URL

from relay import broker_url
from relay.broker import connect_failure, lenient_decoding
from relay.errors import BrokerError, TopologyError
from relay.events.topology import Binding, Exchange, Queue, Topology

Connection = AbstractConnection  # its name for those who do not import aio-pika

CONNECT_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = 10
_CLOSE_TIMEOUT_S = 5
_FILES = ("cafile", "certfile", "keyfile")

CONNECTION_ERRORS = (*CONNECTION_EXCEPTIONS, EOFError, ValueError)
"""What the libraries raise when a connection can't be opened or is lost."""


def read_url(reference: str) -> str:
    """Return a broker's URL: reference, or what `env:NAME` or `file:PATH` hold by now.

    Raises:
        BrokerError: it can't be read, or is no URL of a broker.
    """
    try:
        return broker_url.read(reference)
    except ValueError as error:
        raise BrokerError(f"broker.urls: {error}.") from error


async def connect(url: str, *, heartbeat_s: int) -> AbstractConnection:
    """Open a connection to one broker.

    Args:
        url: `amqp://` or `amqps://`, the latter with `cafile`, `certfile`, `keyfile` as query.
        heartbeat_s: a peer that is silent for three times this long counts as gone.

    Raises:
        BrokerError: its text says what went wrong, without the password.
    """
    lenient_decoding.install()
    _require_files(url)
    address = URL(url).update_query(heartbeat=heartbeat_s)
    name = f"relay {platform.node()} {os.getpid()}"
    connection = aio_pika.Connection(address, client_properties={"connection_name": name})
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT_S)
    except CONNECTION_ERRORS as error:
        text = connect_failure.described(error, limit_s=CONNECT_TIMEOUT_S)
        raise BrokerError(f"RabbitMQ at {public_address(url)} {text}.") from error
    finally:
        if connection.transport is None:
            await connection.close()  # else its destructor does, when no loop runs any more
    return connection


def _require_files(url: str) -> None:
    """Raise BrokerError if a file that the URL names can't be read; the library says not which."""
    for name in _FILES:
        if path := URL(url).query.get(name):
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                reason = f"{name} {path} can't be read: {error.strerror}"
                raise BrokerError(f"broker.urls: {reason}.") from error


def wire_of(connection: AbstractConnection) -> WireConnection:
    """Return the connection as aiormq has it.

    Raises:
        BrokerError: it was lost before.
    """
    if connection.transport is None:
        raise BrokerError("The connection was lost before it was used.")
    return connection.transport.connection


async def connect_to_any(urls: Sequence[str], *, heartbeat_s: int) -> AbstractConnection:
    """Open a connection to the first broker that accepts one.

    Args:
        urls: brokers; see read_url.
        heartbeat_s: see connect.

    Raises:
        BrokerError: none did; its text has a sentence for each.
    """
    failures = []
    for url in urls:
        try:
            return await connect(read_url(url), heartbeat_s=heartbeat_s)
        except BrokerError as error:
            failures.append(str(error))
    raise BrokerError(" ".join(failures))


@contextlib.asynccontextmanager
async def answering(step: str) -> AsyncIterator[None]:
    """Limit how long the broker may take for what is done inside.

    Args:
        step: what it is asked to do, for the error.

    Raises:
        BrokerError: it heartbeats, maybe, but does not answer.
    """
    limit = asyncio.timeout(_ANSWER_TIMEOUT_S)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        text = f"RabbitMQ did not answer within {_ANSWER_TIMEOUT_S} s when asked to {step}."
        raise BrokerError(text) from error


async def close(connection: AbstractConnection) -> None:
    """Close in order, but wait only for a short time: a dead peer never answers."""
    with contextlib.suppress(TimeoutError, *CONNECTION_ERRORS):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()


async def is_blocked(connection: WireConnection) -> bool:
    """Ask aiormq, which has no flag for it: `ready` returns at once unless blocked."""
    try:
        async with asyncio.timeout(0):
            await connection.ready()
    except TimeoutError:
        return True
    return False


@contextlib.asynccontextmanager
async def opened_channel(
    connection: AbstractConnection, *, on_return_raises: bool = False
) -> AsyncIterator[AioPikaChannel]:
    """Open a channel that is closed at the end.

    Raises:
        BrokerError: the broker does not answer.
    """
    channel = connection.channel(on_return_raises=on_return_raises)
    async with answering("open a channel"):
        await channel.initialize()
    try:
        yield channel
    finally:
        async with answering("close a channel"):
            await channel.close()


def public_address(url: str) -> str:
    """Return host, port and virtual host of a broker URL, which may be logged."""
    parsed = URL(url)
    port = parsed.port or (5671 if parsed.scheme == "amqps" else 5672)
    vhost = parsed.path.removeprefix("/")
    return f"{parsed.host}:{port}{'/' + vhost if vhost else ''}"


def reason_of(closed: Iterable[asyncio.Future[None]]) -> str:
    """Return why a channel or connection was closed, from its `closing` future."""
    for future in closed:
        if not future.cancelled() and (error := future.exception()):
            return str(error).rstrip(".") or type(error).__name__
    return "closed"


async def declare(connection: AbstractConnection, topology: Topology, *, passive: bool) -> None:
    """Declare a topology, or with passive only check that its exchanges and queues exist.

    All on one channel: a refusal closes it, but ends all of this, too.

    Raises:
        TopologyError: one is missing, has other properties, or this user may not declare it.
        BrokerError: the connection was lost meanwhile.
    """
    bindings = () if passive else topology.bindings
    parts: Iterable[Exchange | Queue | Binding]
    parts = (*topology.exchanges, *topology.queues, *bindings)
    try:
        async with answering("open a channel"):
            channel = await wire_of(connection).channel(publisher_confirms=False)
        for part in parts:
            await _declare_one(channel, part, passive=passive)
        async with answering("close a channel"):
            await channel.close()
    except CONNECTION_ERRORS as error:
        raise BrokerError(f"The connection was lost while declaring: {error}.") from error


async def _declare_one(
    channel: AbstractChannel, part: Exchange | Queue | Binding, *, passive: bool
) -> None:
    what = f"{type(part).__name__} {part.to if isinstance(part, Binding) else part.name}"
    try:
        async with answering(f"declare {what}"):
            await _declare_on(channel, part, passive=passive)
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


async def _declare_on(
    channel: AbstractChannel, part: Exchange | Queue | Binding, *, passive: bool
) -> None:
    match part:
        case Exchange():
            await channel.exchange_declare(
                part.name,
                exchange_type=part.kind,
                durable=True,
                passive=passive,
                arguments=part.arguments,
            )
        case Queue():
            await channel.queue_declare(
                part.name, durable=True, passive=passive, arguments=part.arguments
            )
        case Binding(is_to_exchange=True):
            await channel.exchange_bind(
                destination=part.to, source=part.exchange, routing_key=part.pattern
            )
        case Binding():
            await channel.queue_bind(part.to, part.exchange, routing_key=part.pattern)
