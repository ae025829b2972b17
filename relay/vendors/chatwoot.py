"""Chatwoot webhooks, of an account or of an API inbox.

https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks
https://github.com/chatwoot/docs/blob/main/docs/product/others/webhook-events.md
https://github.com/chatwoot/chatwoot/pull/13573 (signatures)

Since 4.11.2 `x-chatwoot-signature` is `sha256=` and the hex HMAC-SHA256 of the time, a dot and the
body. Older ones sign nothing: the only possible secret is one in the URL. The header
`x-chatwoot-delivery` is not signed, so it says nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from relay.errors import Malformed, Unauthenticated
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_ms, from_epoch_s, from_utc_text
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import (
    Secrets,
    require_signature,
    signature_of,
    signature_to_check,
)
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.kit.signing_time import read_signing_time, require_recent
from relay.vendors.parts.chatwoot_messages import (
    MESSAGES,
    Typed,
    account_of,
    chat_data,
    customer,
    person,
    read_message,
)

SETUP = Setup(
    enter="Settings, Integrations, Webhooks: the URL; copy the secret it shows. Before 4.11.2 "
    "nothing is signed: make a secret up, and enter the URL with a slash and the secret "
    "behind it.",
    is_copied=True,
)
SIGNATURE = "x-chatwoot-signature"
TIMESTAMP = "x-chatwoot-timestamp"
SIGNS_TIME = True
TOLERANCE_S = 300
"""How old a signature may be, as the pull request above says."""

_PREFIX = "sha256="
_MAX_EPOCH_S = 1e11

_STATUSES = {"resolved": "conversation.closed", "open": "conversation.opened"}
_OLD_STATUSES = {"conversation_resolved": "resolved", "conversation_opened": "open"}
_CONTACTS = ("contact_created", "contact_updated")
TYPES = frozenset(
    {
        *MESSAGES.values(),
        *_STATUSES.values(),
        *("note.created", "contact.updated"),
        *("conversation.created", "conversation.assigned", "conversation.updated"),
        *("conversation.status_changed", "labels.added", "labels.removed", "labels.changed"),
    }
)
_CHATS = ("", "/conversation", "/current_conversation")
_ATTRIBUTES = ("custom_attributes", "additional_attributes", "content_attributes")
_HOLDERS = (
    *("", "/sender", "/contact", "/user"),
    *[f"{chat}{part}" for chat in _CHATS for part in ("", "/meta/sender", "/messages/*")],
)
FIELDS = (
    "/content_attributes/submitted_email",
    "/content_attributes/submitted_values/*/title",
    # Attributes, which an account or a channel defines, and those of them that have changed.
    *[f"{holder}/{name}/*" for holder in _HOLDERS for name in _ATTRIBUTES],
    "/changed_attributes/*/*",
    *[f"{chat}/messages/*/{part}" for chat in _CHATS for part in ("attachments/*/*", "sender/*")],
)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live secret, or the URL holds one."""
    in_url = [*request.path_secrets(), *request.query("token")]
    signature = signature_to_check(in_url, request.headers.get(SIGNATURE), secrets)
    if signature is None:
        return
    if not signature.startswith(_PREFIX):
        raise Unauthenticated("the signature is none of SHA-256", "signature_malformed")
    signed_at = read_signing_time(request.headers.get(TIMESTAMP))
    message = b"%d.%b" % (signed_at, request.body)
    require_signature(signature.removeprefix(_PREFIX), [message], secrets)
    require_recent(signed_at, request.received_at, TOLERANCE_S)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    vendortype = text(body.get("event"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    if vendortype in MESSAGES:
        event_type, detail, data = read_message(vendortype, body)
    elif vendortype in _CONTACTS:
        event_type, detail, data = "contact.updated", "", _contact_event(body)
    elif vendortype.startswith("conversation_") and "typing" not in vendortype:
        event_type, detail, data = _conversation(vendortype, body)
    else:
        event_type, detail, data = "unrecognized", vendortype, _other(body)
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=vendortype,
            time=_time(vendortype, body),
            data=data,
            raw=raw,
            identity=_identity(vendortype, body),
        )
    ]


def sign(body: bytes, secret: str, now: float = 0.0) -> OutgoingRequest:
    """Return the delivery of body, signed at now, in seconds since 1970."""
    signature = signature_of(b"%d.%b" % (int(now), body), secret)
    headers = {"Content-Type": "application/json", TIMESTAMP: str(int(now))}
    return OutgoingRequest(body=body, headers={**headers, SIGNATURE: f"{_PREFIX}{signature}"})


def _identity(vendortype: str, body: Mapping[str, Any]) -> Identity:
    """Return what tells an event apart: what was created, or the conversation's clock, in µs.

    The number of a conversation is one of its account; with the inbox, it is the only one.
    """
    own_id, inbox = identifier(body.get("id")), identifier(body.get("inbox_id"))
    if vendortype in ("message_created", "contact_created") and own_id:
        return vendortype, own_id
    if vendortype == "conversation_created" and own_id and inbox:
        return vendortype, inbox, own_id
    changed = mapping(body.get("conversation")) if vendortype in MESSAGES else body
    has_clock = type(changed.get("updated_at")) is float
    return "element" if has_clock else "delivery"


def _time(vendortype: str, body: Mapping[str, Any]) -> str | None:
    """Return when it happened; older versions do not say when a change did."""
    value = body.get("created_at" if vendortype.endswith("_created") else "updated_at")
    if type(value) is float and 0 <= value < _MAX_EPOCH_S:
        return from_epoch_ms(int(value * 1000))
    if type(value) is str:
        return from_utc_text(value.removesuffix(" UTC"))
    return from_epoch_s(value)


# Conversations.


def _conversation(vendortype: str, body: Mapping[str, Any]) -> Typed:
    status = _OLD_STATUSES.get(vendortype) or text(body.get("status"))
    data = chat_data(body, body) | without_empty(status=status)
    if vendortype == "conversation_created":
        created_at = from_epoch_s(body.get("created_at"))
        data |= without_empty(
            conversation=data.get("conversation", {}) | without_empty(created_at=created_at),
            assignment=without_empty(to=_assignee(body) or _team(body)),
        )
        return "conversation.created", "", data
    if vendortype == "conversation_status_changed" or vendortype in _OLD_STATUSES:
        return _STATUSES.get(status or "", "conversation.status_changed"), "", data
    if vendortype == "conversation_updated":
        return _change(_changes(body.get("changed_attributes")), body, data)
    return "unrecognized", vendortype, data


def _changes(value: object) -> dict[str, Mapping[str, Any]]:
    """Return the changed attributes by name, which come as a list of objects of one member."""
    return {
        name: mapping(change)
        for entry in sequence(value)
        for name, change in mapping(entry).items()
    }


def _change(changes: Mapping[str, Mapping[str, Any]], body: Mapping[str, Any], data: Data) -> Typed:
    """Return what changed: who is responsible counts for more than the labels, they for more."""
    for attribute, role, responsible in _RESPONSIBLE:
        if attribute in changes:
            before = identifier(changes[attribute].get("previous_value"))
            taken_from = actor(role, before) if before else {}
            assignment = without_empty(to=responsible(body), **{"from": taken_from})
            return "conversation.assigned", "", data | without_empty(assignment=assignment)
    if "label_list" not in changes:
        return "conversation.updated", "", data
    old = _names(changes["label_list"].get("previous_value"))
    new = _names(changes["label_list"].get("current_value"))
    added = [name for name in new if name not in old]
    removed = [name for name in old if name not in new]
    event_type, named = "labels.changed", list(new)
    if bool(added) != bool(removed):
        event_type, named = ("labels.added", added) if added else ("labels.removed", removed)
    return event_type, "", data | without_empty(labels=[{"name": name} for name in named])


def _names(value: object) -> dict[str, None]:
    return {name: None for name in map(text, sequence(value)) if name}


def _assignee(conversation: Mapping[str, Any]) -> Data:
    assignee = mapping(mapping(conversation.get("meta")).get("assignee"))
    return person(assignee, "agent") if assignee else {}


def _team(conversation: Mapping[str, Any]) -> Data:
    team = mapping(mapping(conversation.get("meta")).get("team"))
    return actor("team", team.get("id"), name=team.get("name")) if team else {}


def _contact_event(body: Mapping[str, Any]) -> Data:
    return without_empty(contact=customer(body), account=without_empty(id=account_of(body)))


def _other(body: Mapping[str, Any]) -> Data:
    """Return what is known of any other event: a widget opened, someone typing."""
    current = mapping(body.get("conversation")) or mapping(body.get("current_conversation"))
    return chat_data(current, body)


_RESPONSIBLE: tuple[tuple[str, ActorType, Callable[[Mapping[str, Any]], Data]], ...] = (
    ("assignee_id", "agent", _assignee),
    ("team_id", "team", _team),
)
