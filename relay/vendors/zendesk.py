"""Zendesk webhooks: events of Support, and of Sunshine Conversations v2.

https://developer.zendesk.com/api-reference/webhooks/event-types/webhook-event-types/
https://developer.zendesk.com/documentation/webhooks/verifying/
https://developer.zendesk.com/documentation/conversations/messaging-platform/programmable-conversations/receiving-messages/

Support signs: `X-Zendesk-Webhook-Signature` is the base64 HMAC-SHA256 of timestamp and body under
the signing secret, as it stands. Sunshine Conversations sends its shared secret in `X-API-Key`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from relay.errors import Malformed, Unauthenticated
from relay.events.event import Data, NormalizedEvent, NotUnderstood
from relay.events.timestamps import from_utc_text
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import (
    Secrets,
    base64_signature_of,
    require_secret,
    require_signature_by,
)
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    contact,
    detail_of,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup
from relay.vendors.kit.signing_time import require_recent
from relay.vendors.parts import zendesk_conversations as conversations

SETUP = Setup(
    enter="Admin Center, Apps and integrations, Webhooks: the URL and the events; reveal the "
    "signing secret. For Sunshine Conversations: Conversations integrations, and the shared"
    " secret.",
    is_copied=True,
)
SIGNATURE = "x-zendesk-webhook-signature"
TIMESTAMP = "x-zendesk-webhook-signature-timestamp"
API_KEY = "x-api-key"
SIGNS_TIME = True

_TOLERANCE_S = 300  # not documented; as most who sign a time recommend
_MAX_TIMESTAMP_CHARACTERS = 40

_PREFIX = "zen:event-type:"
_TICKET = {
    "created": "conversation.created",
    "comment_added": "message.created",
    "comment_made_private": "note.created",
    "comment_redacted": "message.updated",
    "agent_assignment_changed": "conversation.assigned",
    "group_assignment_changed": "conversation.assigned",
    "status_changed": "conversation.status_changed",
    "tags_changed": "labels.changed",
}
_STATUSES = {
    "SOLVED": "conversation.closed",
    "CLOSED": "conversation.closed",
    "OPEN": "conversation.opened",
}
_USER = {"deleted": "contact.deleted"}
_AGENT = {"state_changed", "unified_state_changed"}
TYPES = conversations.TYPES | {
    *_TICKET.values(),
    *_STATUSES.values(),
    *("conversation.updated", "labels.added", "labels.removed"),
    *("contact.updated", "contact.deleted", "agent.status_changed"),
}
# That the code reads and no sample shows.
FIELDS = (
    *("/detail/name", "/detail/phone", "/event/new_unified_state"),
    *conversations.FIELDS,
)

_MESSAGING_ACTORS: dict[object, ActorType] = {
    "end_user": "contact",
    "agent": "agent",
    "trigger": "bot",
    "system": "system",
}
_SYSTEM_ACTOR = "-1"


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless it was signed with a live secret, or carries one as API key."""
    signature, key = request.headers.get(SIGNATURE), request.headers.get(API_KEY)
    if signature is None and key is not None:
        require_secret([key], secrets)
        return
    timestamp = request.headers.get(TIMESTAMP)
    if secrets.values and signature is not None and timestamp is None:
        raise Unauthenticated("the time of the signature is missing", "timestamp_missing")
    if not (timestamp or "").isascii():
        raise Unauthenticated("the time is not RFC 3339", "timestamp_malformed")
    message = (timestamp or "").encode() + request.body
    require_signature_by(base64_signature_of, signature, message, secrets)
    if secrets.values:
        signed_at = _signing_time(timestamp or "").timestamp()
        require_recent(signed_at, request.received_at, _TOLERANCE_S)


def normalize(request: Request) -> list[NormalizedEvent | NotUnderstood]:
    """Return the one event of Support, or one per element of `events`; none for an empty call.

    Raises:
        Malformed: `not_json` (also for other formats of a trigger), `too_deep`, `unknown_shape` or
            `too_many_events`. The body of a trigger is the customer's own, so its shape is
            unknown.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    events = conversations.normalized(raw)
    if events is not None:
        return events
    body = mapping(raw_json.parse(raw))
    vendortype = text(body.get("type"))
    if vendortype is None:
        raise Malformed("unknown_shape")
    if not vendortype.startswith(_PREFIX):
        return conversations.alone(raw)
    return [_event(vendortype.removeprefix(_PREFIX), body, raw)]


def sign(body: bytes, secret: str, now: float = 0.0) -> OutgoingRequest:
    """Return the delivery of body, signed now, in seconds since 1970."""
    moment = datetime.fromtimestamp(int(now), UTC)
    timestamp = moment.isoformat().removesuffix("+00:00") + "Z"
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: base64_signature_of(timestamp.encode() + body, secret),
        TIMESTAMP: timestamp,
    }
    return OutgoingRequest(body=body, headers=headers)


def _signing_time(timestamp: str) -> datetime:
    try:
        moment = datetime.fromisoformat(timestamp[:_MAX_TIMESTAMP_CHARACTERS])
    except ValueError:
        raise Unauthenticated("the time is not RFC 3339", "timestamp_malformed") from None
    if moment.tzinfo is None:  # its end may have been moved to the body: nothing is between them
        raise Unauthenticated("the time has no zone", "timestamp_malformed")
    return moment


# What an event of Support says.


def _event(name: str, body: Mapping[str, Any], raw: bytes) -> NormalizedEvent:
    domain, _, verb = name.partition(".")
    detail, event = mapping(body.get("detail")), mapping(body.get("event"))
    match domain:
        case "ticket":
            event_type, data = _ticket(verb, detail, event)
        case "messaging_ticket":
            event_type, data = _messaging(verb, detail, event)
        case "user":
            event_type, data = _user(verb, detail)
        case "agent":
            event_type, data = _agent(verb, detail, event)
        case _:
            event_type, data = "unrecognized", {}
    event_id = identifier(body.get("id"))
    account = without_empty(account=without_empty(id=identifier(body.get("account_id"))))
    return NormalizedEvent(
        type=event_type,
        detail=detail_of(event_type, name, data),
        vendortype=f"{_PREFIX}{name}",
        time=from_utc_text(body.get("time")),
        data=account | data,
        raw=raw,
        identity=(event_id,) if event_id else "delivery",
    )


def _ticket(verb: str, detail: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[str, Data]:
    event_type = _TICKET.get(verb)
    if event_type is None:
        event_type = "conversation.updated" if verb.endswith("_changed") else "unrecognized"
    details: Data = {}
    if verb == "created":
        details["title"] = text(detail.get("subject"))
        details["created_at"] = from_utc_text(detail.get("created_at"))
    data = _ticket_parties(detail, details)
    match verb:
        case "comment_added" | "comment_made_private" | "comment_redacted":
            return _comment(event_type, verb, data, mapping(event.get("comment")))
        case "agent_assignment_changed":
            data["assignment"] = _assignment("agent", event)
        case "group_assignment_changed":
            data["assignment"] = _assignment("team", event)
        case "status_changed":
            status = text(event.get("current")) or text(detail.get("status"))
            event_type = _STATUSES.get((status or "").upper(), event_type)
            data["status"] = status
        case "tags_changed":
            event_type, labels = _labels(detail, event)
            data["labels"] = labels
        case "created":
            data["status"] = text(detail.get("status"))
    return event_type, without_empty(**data)


def _ticket_parties(detail: Mapping[str, Any], details: Data) -> Data:
    requester, doer = identifier(detail.get("requester_id")), identifier(detail.get("actor_id"))
    who: Data = {}
    if doer == _SYSTEM_ACTOR:
        who = actor("system")
    elif doer:
        who = actor("contact" if doer == requester else "agent", doer)
    return without_empty(
        conversation=without_empty(id=identifier(detail.get("id")), **details),
        contact=contact(requester),
        channel=without_empty(type=text(mapping(detail.get("via")).get("channel"))),
        actor=who,
    )


def _comment(
    event_type: str, verb: str, data: Data, comment: Mapping[str, Any]
) -> tuple[str, Data]:
    """Return a comment, which is a message only if it says that it is public."""
    author = mapping(comment.get("author"))
    if type(author.get("is_staff")) is bool:
        kind: ActorType = "agent" if author["is_staff"] else "contact"
        data["actor"] = actor(kind, author.get("id"), name=author.get("name"))
        known = contact(author.get("id"), name=author.get("name"))
        is_requester = "contact" in data and data["contact"] == contact(author.get("id"))
        if kind == "contact" and is_requester:
            data["contact"] = known
    words = text(comment.get("body"))
    message = without_empty(id=identifier(comment.get("id")), kind="text")
    if comment.get("is_public") is not True or event_type == "note.created":
        note = without_empty(text=words)
        return "note.created", without_empty(**data, note=note, message=message)
    if verb == "comment_redacted":
        message.pop("kind")
        data["status"] = "redacted"
    return event_type, without_empty(**data, message=message | without_empty(text=words))


def _assignment(kind: ActorType, event: Mapping[str, Any]) -> Data:
    previous, current = identifier(event.get("previous")), identifier(event.get("current"))
    return without_empty(
        **{
            "from": actor(kind, previous) if previous else {},
            "to": actor(kind, current) if current else {},
        }
    )


def _labels(detail: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[str, list[Data]]:
    added, removed = _names(event.get("tags_added")), _names(event.get("tags_removed"))
    if added and not removed:
        return "labels.added", added
    if removed and not added:
        return "labels.removed", removed
    return "labels.changed", _names(detail.get("tags"))


def _names(tags: object) -> list[Data]:
    return [{"name": name} for name in map(text, sequence(tags)) if name]


def _messaging(verb: str, detail: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[str, Data]:
    """Return a message of a ticket's conversation, which the ticket stands for."""
    ticket_id = identifier(detail.get("id")) or identifier(event.get("conversation_id"))
    data = without_empty(conversation=without_empty(id=ticket_id))
    if verb != "message_added":
        return "unrecognized", data
    author, message = mapping(event.get("actor")), mapping(event.get("message"))
    kind = _MESSAGING_ACTORS.get(text(author.get("type")))
    who = actor(kind, author.get("id"), name=author.get("name")) if kind else {}
    return "message.created", data | without_empty(
        contact=contact(author.get("id"), name=author.get("name")) if kind == "contact" else {},
        channel={"type": "messaging"},
        actor=who,
        message=without_empty(
            id=identifier(message.get("id")), kind="text", text=text(message.get("body"))
        ),
    )


def _user(verb: str, detail: Mapping[str, Any]) -> tuple[str, Data]:
    """Return what happened to a customer; agents and admins are users, too."""
    if detail.get("role") not in (None, "end-user", "end_user"):
        return "unrecognized", {}
    known = contact(
        detail.get("id"),
        name=detail.get("name"),
        email=detail.get("email"),
        phone=detail.get("phone"),
    )
    return _USER.get(verb, "contact.updated"), without_empty(contact=known)


def _agent(verb: str, detail: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[str, Data]:
    agent_id = identifier(detail.get("agent_id"))
    return "agent.status_changed" if verb in _AGENT else "unrecognized", without_empty(
        actor=actor("agent", agent_id) if agent_id else {},
        status=text(event.get("new_state")) or text(event.get("new_unified_state"))
        if verb in _AGENT
        else None,
    )
