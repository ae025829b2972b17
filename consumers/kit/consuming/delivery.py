"""A message in hand: what was delivered, decoded. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from pamqp import commands

from consumers.kit.errors import NotAnEvent
from consumers.kit.event import Event, decode
from consumers.kit.queues.headers import attempt_of, routing_key_of


class Received(NamedTuple):
    """A message as delivered."""

    tag: int
    routing_key: str
    properties: commands.Basic.Properties
    body: bytes
    is_suspect: bool = False
    """It was delivered before and not answered: it may have killed the process that had it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in hand.

    Args:
        message: as delivered.
        event: what is in it, or why it is no event.
        key: messages of one key are handled in order.
        routing_key: the relay's.
        attempt: of handling it, from 1.
    """

    message: Received
    event: Event | NotAnEvent
    key: str
    routing_key: str
    attempt: int


def read_delivery(message: Received) -> Delivery:
    """Decode a message. One without a key, or that is no event, gets a key of its own."""
    headers = message.properties.headers or {}
    event: Event | NotAnEvent
    try:
        event = decode(message.body, routing_key=message.routing_key, headers=headers)
    except NotAnEvent as error:
        event, key = error, f"\0{message.tag}"
    else:
        key = event.partitionkey or event.id
    return Delivery(
        message=message,
        event=event,
        key=key,
        routing_key=routing_key_of(headers, message.routing_key),
        attempt=attempt_of(headers),
    )
