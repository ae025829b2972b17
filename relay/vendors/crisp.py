"""Crisp web hooks, of a website or of a plugin.

https://docs.crisp.chat/references/web-hooks/v1/
https://docs.crisp.chat/references/rtm-api/v1/ (what `data` holds, by event)
https://help.crisp.chat/en/article/how-to-use-webhooks-itsagz/ (the key in the URL)

Hooks of plugins are signed: `x-crisp-signature` is the hex HMAC-SHA256 of `[TIME;BODY]`, where the
time is that of the header `x-crisp-request-timestamp`. Hooks of websites are not: a key in the URL,
`?key=...`, is what Crisp recommends for them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_ms
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import (
    Secrets,
    require_signature,
    signature_of,
    signature_to_check,
)
from relay.vendors.kit.fields import (
    actor,
    contact,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.javascript import signed_readings
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.kit.signing_time import read_signing_time
from relay.vendors.parts.crisp_messages import (
    ACKNOWLEDGED,
    MESSAGES,
    Typed,
    read_acknowledgement,
    read_message,
    read_update,
)

SETUP = Setup(
    enter="The hooks of a plugin, on the Marketplace: the URL; copy the signing secret. The hooks"
    " of a website sign nothing: make a secret up, and enter the URL with `?key=` and the "
    "secret behind it.",
    is_copied=True,
)
SIGNATURE = "x-crisp-signature"
TIMESTAMP = "x-crisp-request-timestamp"
SIGNS_TIME = True

_STATES = {"resolved": "conversation.closed", "unresolved": "conversation.opened"}
_CONTACT_FIELDS = {
    "session:set_email": "email",
    "session:set_phone": "phone",
    "session:set_nickname": "nickname",
    "session:set_avatar": "avatar",
    "session:set_address": "address",
}
_CONVERSATION_UPDATES = (
    *("session:set_block", "session:set_mentions", "session:set_participants"),
    *("session:set_subject", "session:set_inbox", "session:update_verify"),
)
_PROFILES = {
    "people:profile:created": "contact.updated",
    "people:profile:updated": "contact.updated",
    "people:sync:profile": "contact.updated",
    "people:profile:removed": "contact.deleted",
}
TYPES = frozenset(
    {
        *("message.created", "message.updated", "message.status_changed", "note.created"),
        *("conversation.created", "conversation.assigned", "conversation.updated"),
        *("conversation.status_changed", *_STATES.values()),
        *("labels.changed", "variables.updated", "agent.status_changed", *_PROFILES.values()),
    }
)

_Reader = Callable[[str, Mapping[str, Any]], Typed]
FIELDS = (
    *("/data/subject", "/data/content/value", "/data/user/type", "/data/user/avatar"),
    *("/data/identity/email", "/data/identity/nickname", "/data/identity/person/nickname"),
    "/data/data/*",  # what a website says of its visitors
)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live secret, or the URL holds one."""
    in_url = [*request.path_secrets(), *request.query("key")]
    signature = signature_to_check(in_url, request.headers.get(SIGNATURE), secrets)
    if signature is None:
        return
    timestamp = read_signing_time(request.headers.get(TIMESTAMP))
    require_signature(signature, _readings(timestamp, request.body), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    vendortype, data = text(body.get("event")), mapping(body.get("data"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    event_type, detail, specific = _READERS.get(vendortype, _unrecognized)(vendortype, data)
    session = identifier(data.get("session_id"))
    conversation = without_empty(id=session) | specific.pop("conversation", {})
    account = identifier(body.get("website_id")) or identifier(data.get("website_id"))
    said_at = _clock(data) if vendortype in MESSAGES else None
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=vendortype,
            time=said_at or _clock(body),
            data=without_empty(
                conversation=conversation, account=without_empty(id=account), **specific
            ),
            raw=raw,
            identity=_identity(vendortype, body, data),
        )
    ]


def sign(body: bytes, secret: str, now: float = 0.0) -> OutgoingRequest:
    """Return the delivery of body as a plugin's hook, signed at now, in seconds since 1970."""
    timestamp = int(now * 1000)
    headers = {
        "Content-Type": "application/json",
        TIMESTAMP: str(timestamp),
        SIGNATURE: signature_of(_signed(timestamp, body), secret),
    }
    return OutgoingRequest(body=body, headers=headers)


def _readings(timestamp: int, body: bytes) -> Iterator[bytes]:
    """Yield what may have been signed, one at a time: all but the first are costly.

    Crisp documents JSON.stringify; that is the body as long as nothing between us rewrites it.
    """
    for reading in signed_readings(body):
        yield _signed(timestamp, reading)


def _signed(timestamp: int, body: bytes) -> bytes:
    return b"[%d;%b]" % (timestamp, body)


def _identity(vendortype: str, body: Mapping[str, Any], data: Mapping[str, Any]) -> Identity:
    """Return what tells an event apart: a message's fingerprint, or the clock, in ms."""
    session, fingerprint = identifier(data.get("session_id")), identifier(data.get("fingerprint"))
    if vendortype in MESSAGES and session and fingerprint:
        return vendortype, session, fingerprint
    return "element" if _clock(body) else "delivery"


def _clock(part: Mapping[str, Any]) -> str | None:
    return from_epoch_ms(part.get("timestamp")) if part.get("timestamp") else None


# Conversations, contacts and operators.


def _state(_: str, data: Mapping[str, Any]) -> Typed:
    state = text(data.get("state"))
    event_type = _STATES.get((state or "").lower(), "conversation.status_changed")
    return event_type, "", {"status": state}


def _started(_: str, __: Mapping[str, Any]) -> Typed:
    return "conversation.created", "", {}


def _routed(_: str, data: Mapping[str, Any]) -> Typed:
    """Read to whom a conversation was given; to nobody if it was taken from someone."""
    parties = {
        name: actor("agent", operator)
        for name, field in (("from", "previous_routing_id"), ("to", "routing_id"))
        if (operator := identifier(data.get(field)))
    }
    return "conversation.assigned", "", {"assignment": parties}


def _conversation_updated(_: str, data: Mapping[str, Any]) -> Typed:
    title = text(data.get("subject"))
    return "conversation.updated", "", {"conversation": without_empty(title=title)}


def _segments(_: str, data: Mapping[str, Any]) -> Typed:
    labels = [{"name": name} for name in map(text, sequence(data.get("segments"))) if name]
    return "labels.changed", "", {"labels": labels}


def _custom_data(_: str, data: Mapping[str, Any]) -> Typed:
    values = mapping(data.get("data"))
    variables = [without_empty(name=name) | {"value": value} for name, value in values.items()]
    return "variables.updated", "", {"variables": variables}


def _contact_field(vendortype: str, data: Mapping[str, Any]) -> Typed:
    """Read what became known of a visitor, whose id is that of the session."""
    value = data.get(_CONTACT_FIELDS[vendortype])
    field = {"nickname": "name"}.get(_CONTACT_FIELDS[vendortype], _CONTACT_FIELDS[vendortype])
    known = {field: value} if field in ("email", "phone", "name") else {}
    return "contact.updated", "", {"contact": contact(data.get("session_id"), **known)}


def _profile(vendortype: str, data: Mapping[str, Any]) -> Typed:
    identity = mapping(data.get("identity"))
    person = mapping(identity.get("person"))
    email = text(data.get("email")) or identity.get("email")
    name = text(person.get("nickname")) or identity.get("nickname")
    known = contact(data.get("people_id"), email=email, name=name)
    return _PROFILES[vendortype], "", {"contact": known}


def _operator_status(_: str, data: Mapping[str, Any]) -> Typed:
    status = text(mapping(data.get("availability")).get("type"))
    operator = identifier(data.get("user_id"))
    who = actor("agent", operator) if operator else {}
    return "agent.status_changed", "", {"actor": who, "status": status}


def _unrecognized(vendortype: str, _: Mapping[str, Any]) -> Typed:
    return "unrecognized", vendortype, {}


_READERS: dict[str, _Reader] = {
    **dict.fromkeys(MESSAGES, read_message),
    **dict.fromkeys(ACKNOWLEDGED, read_acknowledgement),
    **dict.fromkeys(_CONTACT_FIELDS, _contact_field),
    **dict.fromkeys(_CONVERSATION_UPDATES, _conversation_updated),
    **dict.fromkeys(_PROFILES, _profile),
    "message:updated": read_update,
    "session:set_state": _state,
    "session:request:initiated": _started,
    "session:set_routing": _routed,
    "session:set_segments": _segments,
    "session:set_data": _custom_data,
    "website:update_operators_availability": _operator_status,
}
