"""Acquire webhooks, docs 2.0.0 (`case:status` ...) and 1.0.0 (`CHAT_ON_START` ...).

https://developer.acquire.io/webhook-api/webhook-events-1
https://developer.acquire.io/webhook-api/securing-webhook
https://docs.acquire.io/for-developers-webhooks

`x-acquire-signature` is the hex HMAC-SHA256 of `JSON.stringify(body)`. Events have no time: 2.0.0
sends none with the event, and the times of 1.0.0 have no zone.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_signature, signature_of
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    contact,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.javascript import signed_readings
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

SETUP = Setup(
    enter="A webhook of flow Outbound: the URL, the secret as its secret key, the trigger events,"
    " and the JSON format."
)
SIGNATURE = "x-acquire-signature"

_STATUSES = {"closed": "conversation.closed", "active": "conversation.opened"}
_ACTORS: dict[object, ActorType] = {
    "agent": "agent",
    "user": "agent",
    "contact": "contact",
    "visitor": "contact",
    "bot": "bot",
    "system": "system",
}
_CASES = {
    "case:status": "conversation.status_changed",
    "case:new": "conversation.created",
    "case:created": "conversation.created",
    "case:message:new": "message.created",
    "user:case-joined": "conversation.joined",
    "user:status": "agent.status_changed",
    "agent:status": "agent.status_changed",
}
_CHATS = {
    "CHAT_ON_START": "conversation.created",
    "CHAT_ON_ACCEPT": "conversation.accepted",
    "CHAT_ON_MESSAGE": "message.created",
    "CHAT_ON_CLOSE": "conversation.closed",
}
_NOTE = "note"
"""A message of this type is internal:
https://developer.acquire.io/rest-apis/conversation/conversation-or-cases/messages-1/add"""
TYPES = frozenset({*_CASES.values(), *_CHATS.values(), *_STATUSES.values(), "note.created"})
_MESSAGE_FIELDS = ("id", "type", "message", "senderType", "senderId")
FIELDS = (
    # Of events whose shape is not published.
    *[f"/data/{name}" for name in (*_MESSAGE_FIELDS, "userId", "channel", "seen", "dateCreated")],
    *[f"/data/message/{name}" for name in _MESSAGE_FIELDS],
    *[f"/data/user/{name}" for name in ("id", "id_real", "name", "type")],
    *("/data/case/id", "/data/case/contact/id"),
    # Attributes of a customer, which a company defines, and clients, which are called by their ids.
    *("/data/fields/*", "/data/contact/fields/*", "/data/details/fields/*"),
    "/data/case/contact/fields/*",
    *[f"/users/visitor/{name}/*" for name in ("fields", "tags", "custom_fields")],
    "/users/agent/clients/*",
)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live secret.

    Which reading of it Acquire signs is not documented; its own sample code verifies the second.
    """
    require_signature(request.headers.get(SIGNATURE), signed_readings(request.body), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json` (also for XML and forms, which Acquire can be set to send),
            `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = raw_json.parse(raw)
    vendortype = text(mapping(body).get("event"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    if vendortype in _CHATS:
        event_type, data = _CHATS[vendortype], _chat(body, vendortype)
    else:
        event_type, data = _case(mapping(body.get("data")), vendortype)
    detail = vendortype if event_type == "unrecognized" else ""
    if event_type == "message.created":
        detail = data["message"]["kind"]
        if detail.lower() == _NOTE:
            event_type, detail = "note.created", ""
            data |= as_note(data["message"])
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=vendortype,
            data=data,
            raw=raw,
            identity=_identity(vendortype, data),
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the signature of its bytes."""
    headers = {"Content-Type": "application/json", SIGNATURE: signature_of(body, secret)}
    return OutgoingRequest(body=body, headers=headers)


def _identity(vendortype: str, data: Data) -> Identity:
    """Return the id of a case's message; nothing else has an id or a clock that tells it apart.

    Whatever else such a message says may change before it is sent again: that it was seen.
    """
    message_id = data["message"].get("id") if vendortype == "case:message:new" else None
    return (vendortype, message_id) if message_id else "delivery"


def _case(data: Mapping[str, Any], vendortype: str) -> tuple[str, Data]:
    status = text(data.get("status"))
    event_type = _CASES.get(vendortype, "unrecognized")
    if vendortype == "case:status":
        event_type = _STATUSES.get((status or "").lower(), event_type)
    case = mapping(data.get("case"))  # as the REST API has it, around which messages lie
    customer = mapping(data.get("contact")) or mapping(case.get("contact"))
    fields = without_empty(
        conversation=without_empty(id=identifier(data.get("caseId")) or identifier(case.get("id"))),
        contact=_contact(customer.get("id"), mapping(customer.get("fields"))),
    )
    match event_type:
        case "message.created":
            fields |= _case_message(data)
        case "conversation.joined":
            fields |= without_empty(actor=_user(data))
        case "agent.status_changed":
            fields |= without_empty(actor=_user(data) or _agent(data), status=status)
        case "conversation.created" | "unrecognized":
            pass
        case _:
            fields |= without_empty(status=status)
    return event_type, fields


def _case_message(data: Mapping[str, Any]) -> Data:
    """Read `case:message:new`. Its shape is not published; an entry of `messages` is assumed."""
    messages = [*_messages_in(data), *_messages_in(mapping(data.get("case")))]
    is_spread_out = text(data.get("message")) is not None or not messages
    message = data if is_spread_out else messages[0]
    sender = _ACTORS.get(text(message.get("senderType")))
    content = without_empty(
        id=identifier(message.get("id")),
        kind=_kind(message, *messages, data),
        text=text(message.get("message")),
    )
    who = actor(sender, message.get("senderId")) if sender else {}
    return without_empty(actor=who, message=content)


def _messages_in(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the message that an object holds, of several the last, and what lies within it."""
    found: list[Mapping[str, Any]] = []
    for name in ("message", "messages"):
        value = holder.get(name)
        if message := mapping((sequence(value) or [value])[-1]):
            found += [message, *_messages_in(message)]
    return found


def _kind(*holders: Mapping[str, Any]) -> str:
    """Return the first kind that is named, but that of a note before any other."""
    kinds = [kind for holder in holders if (kind := message_kind(holder.get("type")))]
    notes = [kind for kind in kinds if kind.lower() == _NOTE]
    return next(iter([*notes, *kinds]), "message")


def _chat(body: Mapping[str, Any], vendortype: str) -> Data:
    if vendortype == "CHAT_ON_START":
        start = mapping(body.get("data"))
        chat_id = identifier(start.get(" id")) or identifier(start.get("id"))  # the space is theirs
        details = mapping(start.get("details"))
        return without_empty(
            conversation=without_empty(id=chat_id), contact=_contact(None, details)
        )
    users = _unpacked(body.get("users"))
    data = without_empty(
        conversation=without_empty(id=identifier(body.get("id"))),
        contact=_contact(body.get("visitor_id"), mapping(users.get("visitor"))),
        account=without_empty(id=identifier(body.get("account_id"))),
    )
    match vendortype:
        case "CHAT_ON_ACCEPT":
            data |= without_empty(actor=_agent(mapping(body.get("user"))))
        case "CHAT_ON_MESSAGE":
            message = _unpacked(body.get("message"))
            is_note = (text(body.get("type")) or "").lower() == _NOTE
            content = without_empty(
                kind=_NOTE if is_note else _kind(message), text=text(message.get("msg"))
            )
            data |= without_empty(actor=_person(mapping(message.get("user"))), message=content)
        case _:  # CHAT_ON_CLOSE, whose own `status` still says "active"
            closer = text(body.get("by"))
            data |= without_empty(actor=_agent({"id": closer}) if closer else {}, status="closed")
    return data


def _unpacked(value: object) -> Mapping[str, Any]:
    """Return an object that 1.0.0 sends as such or as JSON in a string."""
    if type(value) is str:
        try:
            value = orjson.loads(raw_json.repair(value.encode()))
        except orjson.JSONDecodeError:
            return {}
    return mapping(value)


def _contact(contact_id: object, fields: Mapping[str, Any]) -> Data:
    return contact(
        contact_id, name=fields.get("name"), email=fields.get("email"), phone=fields.get("phone")
    )


def _person(user: Mapping[str, Any]) -> Data:
    kind = _ACTORS.get(text(user.get("type")))
    if kind == "agent":
        return _agent(user)
    return actor(kind, user.get("id"), name=user.get("name")) if kind else {}


def _user(data: Mapping[str, Any]) -> Data:
    """Return the agent of a case or of a status, who may be there by id alone."""
    return _agent(mapping(data.get("user")) or {"id": data.get("userId")})


def _agent(user: Mapping[str, Any]) -> Data:
    """Return an agent, whose id 1.0.0 sends as 15416 in one event and "agent-15416" in another."""
    agent_id = identifier(user.get("id_real")) or identifier(user.get("id"))
    agent = actor("agent", agent_id and agent_id.removeprefix("agent-"), name=user.get("name"))
    return agent if len(agent) > 1 else {}
