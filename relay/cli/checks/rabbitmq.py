"""RabbitMQ as `relay check --deep` sees it: its version, our rights, queues, certificates."""

import asyncio
import re
import ssl
import time
from collections.abc import Iterator
from typing import Any

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp import commands
from yarl import URL

from consumers.kit.queues.topology import dead_queue
from relay.broker.connection import CONNECT_TIMEOUT_S, CONNECTION_ERRORS, answering, wire_of
from relay.cli.checks.finding import Finding, joined
from relay.cli.completing import queues_of_services
from relay.configured import sources_of, topology_of
from relay.errors import BrokerError
from relay.events.topology import (
    Exchange,
    Queue,
    history_exchange,
    quarantine_exchange,
    unrouted_exchange,
)
from relay.settings import Settings

_OLDEST = (3, 10)
_NEEDED = ("publisher_confirms", "basic.nack")
_FULL = 0.9
_SOON_DAYS = 21
_DAY_S = 86_400
_NO_EXPIRATION = "no-time"
"""What RabbitMQ takes for no expiration. It looks at it after the rights and before it routes."""


async def version(connection: AbstractConnection) -> Finding:
    """Look at what the broker says it is."""
    said: dict[str, Any] = dict(wire_of(connection).server_properties)
    product, release = (_text(said.get(key)) for key in ("product", "version"))
    lacking = [name for name in _NEEDED if not said.get("capabilities", {}).get(name)]
    if lacking:
        raise BrokerError(f"{product} {release} has no {', '.join(lacking)}; use RabbitMQ.")
    if product != "RabbitMQ":
        return Finding(f"it is {product} {release}; only RabbitMQ was tested", is_warning=True)
    numbers = tuple(map(int, re.findall(r"\d+", release)[:2]))
    if numbers < _OLDEST:
        return Finding(f"RabbitMQ {release} is older than any tested; update it", is_warning=True)
    return Finding(f"RabbitMQ {release}")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# Rights


async def rights(connection: AbstractConnection, settings: Settings) -> Finding:
    """Ask whether the user may do what the relay does, by requests that can't be carried out.

    A message whose expiration is no number is refused once the right to write was found, so
    nothing is published; what is declared with an impossible argument is not declared. RabbitMQ 3
    looks at the rights of routing keys before, too; 4 does so only behind it.

    Raises:
        BrokerError: a right is lacking.
    """
    user = wire_of(connection).url.user or "guest"
    wanted = topology_of(settings)
    allowed, lacking, missing = [], [], []
    for exchange, routing_key in _published_to(settings):
        try:
            await _publish_nothing(connection, exchange, routing_key)
        except ChannelNotFoundEntity:
            missing.append(exchange)
        except ChannelAccessRefused:
            lacking.append(f"write to exchange {exchange}, with keys such as {routing_key}")
        else:
            allowed.append(exchange)
    allowed, missing = list(dict.fromkeys(allowed)), list(dict.fromkeys(missing))
    if settings.broker.declare_topology:
        parts: list[Exchange | Queue] = [*wanted.exchanges, *wanted.queues]
        lacking += [
            f"configure {part.name}" for part in parts if not await _may_declare(connection, part)
        ]
    if lacking:
        raise BrokerError(
            f"{user} may not {'; nor '.join(lacking)}: grant it with `rabbitmqctl "
            "set_permissions`, or `set_topic_permissions` for keys."
        )
    found = [f"{user} may publish to {', '.join(allowed)}"] if allowed else []
    if missing:
        found.append(f"{', '.join(missing)}: not declared yet")
    return Finding("; ".join(found))


def _published_to(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the exchanges that the relay writes to, with a routing key of each vendor."""
    quarantine = quarantine_exchange(settings.broker.exchange)
    places: dict[tuple[str, str], None] = {}  # each once, in order
    for name, source in sources_of(settings).items():
        exchange = settings.sources[name].exchange or settings.broker.exchange
        front = history_exchange(exchange) if settings.history.enabled else exchange
        places[front, f"{source.origin.vendor}.unrecognized"] = None
        places[quarantine, f"{source.origin.vendor}.not_json"] = None
    yield from places


async def _publish_nothing(connection: AbstractConnection, exchange: str, routing_key: str) -> None:
    """Publish what RabbitMQ refuses once it has found that the user may.

    Raises:
        ChannelAccessRefused: the user may not.
        ChannelNotFoundEntity: there is no such exchange.
        BrokerError: it was not refused.
    """
    properties = commands.Basic.Properties(expiration=_NO_EXPIRATION)
    try:
        async with answering("publish"), connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            await wire.basic_publish(
                b"", exchange=exchange, routing_key=routing_key, properties=properties
            )
    except ChannelPreconditionFailed:
        return
    raise BrokerError(f"A message without an expiration was taken by {exchange}.")


async def _may_declare(connection: AbstractConnection, part: Exchange | Queue) -> bool:
    """Return whether the user may declare an exchange or a queue, without declaring it."""
    try:
        async with answering(f"declare {part.name}"), connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            if isinstance(part, Exchange):
                impossible: Any = {"alternate-exchange": 0}
                await wire.exchange_declare(
                    part.name, exchange_type=part.kind, durable=True, arguments=impossible
                )
                await wire.exchange_delete(part.name, if_unused=True)
            else:
                impossible = {**part.arguments, "x-max-length": "none"}
                await wire.queue_declare(part.name, durable=True, arguments=impossible)
                await wire.queue_delete(part.name, if_unused=True, if_empty=True)
    except ChannelPreconditionFailed:
        return True
    except ChannelAccessRefused:
        return False
    return True


# Queues


async def queues(connection: AbstractConnection, settings: Settings) -> Finding:
    """Look at how many messages wait: of the relay's own queues, and of the services' here.

    Raises:
        BrokerError: one is nearly full.
    """
    broker, services = settings.broker, queues_of_services(settings.consumers)
    unrouted, quarantine = unrouted_exchange(broker.exchange), quarantine_exchange(broker.exchange)
    bounds = {unrouted: broker.unrouted_max_length, quarantine: broker.quarantine_max_length}
    advice = {
        unrouted: "nobody has a binding for them: bind a service to their keys",
        quarantine: "see `relay quarantine list`",
        **{dead_queue(name): f"see `relay dead list {name}`" for name in services},
    }
    findings = []
    for name in [*advice, *services]:
        state = await _length(connection, name)
        if state is None:
            continue
        messages, consumers = state
        if messages > bounds.get(name, messages + 1) * _FULL:
            raise BrokerError(f"{name} has {messages:,} of {bounds[name]:,}: {advice[name]}.")
        if messages and name in advice:
            findings.append(Finding(f"{name} has {messages:,}: {advice[name]}", is_warning=True))
        elif messages and not consumers:
            text = f"{name} has {messages:,} and no consumer: start its service"
            findings.append(Finding(text, is_warning=True))
        else:
            findings.append(Finding(f"{name} has {messages:,}"))
    return joined(findings) if findings else Finding("none is declared yet")


async def _length(connection: AbstractConnection, name: str) -> tuple[int, int] | None:
    """Return how many messages and consumers a queue has; None if there is none."""
    try:
        async with answering(f"look at {name}"), connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            found = await wire.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    return found.message_count or 0, found.consumer_count or 0


# Certificates


async def certificate(url: str) -> Finding:
    """Look at how long the broker's certificate, and that of its authority, is good.

    Raises:
        BrokerError: it can't be seen.
    """
    address = URL(url)
    options = address.query
    try:
        context = ssl.create_default_context(cafile=options.get("cafile"))
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(
                address.host, address.port or 5671, ssl=context
            )
    except TimeoutError as error:
        raise BrokerError(f"No TLS within {CONNECT_TIMEOUT_S} s.") from error
    except CONNECTION_ERRORS as error:
        raise BrokerError(f"Its certificate is not trusted: {error}.") from error
    shown = writer.get_extra_info("peercert")
    writer.transport.abort()
    ends = [("its certificate", shown["notAfter"])]
    if "cafile" in options:
        ends += [("its authority's", str(one["notAfter"])) for one in context.get_ca_certs()]
    return joined(_expiry(what, ssl.cert_time_to_seconds(end)) for what, end in ends)


def _expiry(what: str, end_s: float) -> Finding:
    days = int((end_s - time.time()) // _DAY_S)
    date = time.strftime("%Y-%m-%d", time.gmtime(end_s))
    if days < _SOON_DAYS:
        return Finding(f"{what} ends on {date}, in {days} days: renew it", is_warning=True)
    return Finding(f"{what} is good until {date}")
