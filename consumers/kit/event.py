"""The event as a handler gets it: a message of the relay, decoded and typed. Pure.

The fields have the names of the wire; relay/events/README.md explains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

import orjson

from consumers.kit.errors import NotAnEvent
from consumers.kit.queues.headers import REPLAY, attempt_of, routing_key_of
from relay.events.timestamps import from_utc_text
from relay.vendors.kit.fields import ActorType


class Actor(TypedDict, total=False):
    """Who did it, or to whom something was assigned."""

    type: ActorType
    id: str
    name: str
    email: str


class Contact(TypedDict, total=False):
    """The customer."""

    id: str
    name: str
    email: str
    phone: str


class Conversation(TypedDict, total=False):
    """The conversation; `created_at` is RFC 3339."""

    id: str
    title: str
    created_at: str


class Attachment(TypedDict, total=False):
    """A file sent with a message: by `url`, or by `id` or `key`, for which the vendor has one."""

    url: str
    id: str
    key: str
    mime_type: str
    file_name: str
    size_bytes: int


class Variable(TypedDict, total=False):
    """A named value, as the vendor typed it."""

    name: str
    value: Any
    type: str


class MessageData(TypedDict, total=False):
    """What was said."""

    id: str
    kind: str
    text: str
    attachments: list[Attachment]
    variables: list[Variable]


# `from` is a keyword, so this one is written as a call.
Assignment = TypedDict(
    "Assignment",
    {"from": Actor, "to": Actor, "mode": str, "through": str, "via": str},
    total=False,
)


class EventData(TypedDict, total=False):
    """The normalized fields. An unknown one is absent, never null or empty."""

    account: dict[str, str]
    actor: Actor
    assignment: Assignment
    channel: dict[str, str]
    contact: Contact
    conversation: Conversation
    labels: list[dict[str, str]]
    member: Actor
    message: MessageData
    note: dict[str, str]
    raw: Any
    status: str
    variables: list[Variable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. An attribute that the event lacks is "", or None for `time`.

    Args:
        id: equal for every copy of the same event: the idempotency key.
        source: `/<vendor>/<configured source>`.
        type: such as `message.created`.
        vendor: such as `swiftsell`.
        vendortype: the vendor's own word for the type.
        subject: `conversation/<id>` or `contact/<id>`.
        time: the vendor's clock, RFC 3339 UTC.
        recordedtime: the relay's clock, RFC 3339 UTC.
        partitionkey: events of one key are handled in order.
        data: the normalized fields, and `raw`.
        routing_key: as published by the relay, also after a retry.
        attempt: of handling it, from 1.
        replay: which replay sent it; "" if none did.
        traceparent: W3C trace context of the vendor's request.
        body: the message's bytes. They have all digits of numbers beyond 64 bits, which are
            floats in `data`.
    """

    id: str
    source: str
    type: str
    vendor: str
    vendortype: str
    subject: str
    time: str | None
    recordedtime: str
    partitionkey: str
    data: EventData = field(repr=False)
    routing_key: str
    attempt: int
    replay: str
    traceparent: str
    body: bytes = field(repr=False)

    @property
    def raw(self) -> Any:
        """The vendor's own element."""
        return self.data.get("raw")

    @property
    def conversation_id(self) -> str:
        """The conversation's id, or ""."""
        return _text(self.data.get("conversation"), "id")

    @property
    def contact_id(self) -> str:
        """The customer's id, or ""."""
        return _text(self.data.get("contact"), "id")

    @property
    def text(self) -> str:
        """What was said or noted, or ""."""
        return _text(self.data.get("message"), "text") or _text(self.data.get("note"), "text")

    @property
    def occurred_at(self) -> datetime | None:
        """`time`, else `recordedtime`, as an aware datetime; None if neither is a time."""
        text = from_utc_text(self.time) or from_utc_text(self.recordedtime)
        return datetime.fromisoformat(text) if text else None


def decode(body: bytes, *, routing_key: str, headers: Mapping[str, Any] | None = None) -> Event:
    """Return the event in a message.

    Args:
        body: a CloudEvents 1.0 document in structured JSON mode.
        routing_key: as delivered; a header of the kit's own has precedence.
        headers: of the AMQP message.

    Raises:
        NotAnEvent: it is none; the text says why.
    """
    document, headers = parse(body), headers or {}
    return Event(
        id=document["id"],
        source=document["source"],
        type=document["type"],
        vendor=_text(document, "vendor"),
        vendortype=_text(document, "vendortype"),
        subject=_text(document, "subject"),
        time=_text(document, "time") or None,
        recordedtime=_text(document, "recordedtime"),
        partitionkey=_text(document, "partitionkey"),
        data=document["data"],
        routing_key=routing_key_of(headers, routing_key),
        attempt=attempt_of(headers),
        replay=_text(headers, REPLAY),
        traceparent=_text(headers, "traceparent"),
        body=body,
    )


def parse(body: bytes) -> dict[str, Any]:
    """Return the CloudEvents document in a message.

    Raises:
        NotAnEvent: it is not JSON, not a CloudEvents 1.0 document, or its `data` is no object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotAnEvent("it is not JSON") from error
    if type(document) is not dict or document.get("specversion") != "1.0":
        raise NotAnEvent("it is no CloudEvents 1.0 document")
    for name in ("id", "source", "type"):
        if not _text(document, name):
            raise NotAnEvent(f"its `{name}` is no text")
    if type(document.get("data")) is not dict:
        raise NotAnEvent("its `data` is no object")
    return document


def _text(fields: object, name: str) -> str:
    """Return a field that is a text, or "": other publishers may send anything."""
    value = fields.get(name) if isinstance(fields, Mapping) else None
    return value if type(value) is str else ""
