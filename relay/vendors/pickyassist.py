"""Picky Assist: the Global Webhook, which brings messages, and the Teambox Event Webhook.

https://help.pickyassist.com/api-documentation-v2/webhook/webhook-request-and-response
https://help.pickyassist.com/api-documentation-v2/webhook/webhook-variables
https://help.pickyassist.com/api-documentation-v2/event-webhook/teambox-event-webhook

Nothing in a delivery proves who sent it. The only possible secret is one in the URL that the user
enters, as a path segment or as `?token=` (or `?secret=`). One POST is one event. It is JSON,
whatever its content type says.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from relay.errors import Malformed
from relay.events.event import Data, NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    contact,
    identifier,
    mapping,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

SETUP = Setup(
    enter="Settings, Developers, Webhook: the URL, whose last part is the secret, as Global "
    "Webhook and as Teambox Event Webhook; choose the JSON method.",
    path="/{secret}",
)
_EVENTS = {
    "1": "conversation.assigned",
    "2": "conversation.accepted",
    "3": "conversation.rejected",
    "4": "conversation.closed",
    "5": "conversation.missed",
    "6": "conversation.joined",
    "7": "conversation.left",
}
TYPES = frozenset({*_EVENTS.values(), "message.created"})
_PERSON_FIELDS = ("first_name", "last_name", "phone", "phone_type", "email", "city", "country")
FIELDS = (
    *("/connector_name", "/flow_name", "/messenger_id"),
    *[f"/location/{name}" for name in ("lat", "long", "name", "address", "url")],
    *[f"{place}/{name}" for place in ("/contact", "/contact/*") for name in _PERSON_FIELDS],
)
_THROUGH = {
    "teambox": "teambox",
    "connector": "connector",
    "connectors": "connector",
    "flow": "flow",
    "flows": "flow",
    "smart replies": "smart_replies",
    "smart reply": "smart_replies",
}
_MESSAGE_FIELDS = {"message-in", "message_in_raw", "media-url", "unique-id", "project-id"}
"""None of the vendor's other webhooks has a field of one of these names."""
_KINDS = {
    "1": "text",
    "2": "image",
    "3": "video",
    "4": "audio",
    "5": "location",
    "6": "document",
    "7": "contact",
    "9": "button_reply",
}
_SENDERS: dict[str | None, ActorType] = {"0": "contact", "1": "agent"}
_SECRET_FIELDS = ("token", "secret")


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the URL carries a live secret."""
    require_secret(_secrets_in_url(request), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep`, `too_many_members` or `unknown_shape`. The vendor's
            Event Webhook has an unknown shape: it too numbers its events from 1, but carries
            `data`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = raw_json.parse(raw)
    if type(body) is not dict:
        raise Malformed("unknown_shape")
    raw = _without_secret(raw, body, request)
    if _MESSAGE_FIELDS.isdisjoint(body):
        return [_teambox_event(body, raw)]
    return [_message(body, raw)]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body to a URL whose last path segment is the secret."""
    return OutgoingRequest(
        body=body, headers={"Content-Type": "application/json"}, path_secret=secret
    )


def _secrets_in_url(request: Request) -> list[str]:
    return [
        *request.path_secrets(),
        *[value for name in _SECRET_FIELDS for value in request.query(name)],
    ]


def _without_secret(raw: bytes, body: Mapping[str, Any], request: Request) -> bytes:
    """Take the URL's secret out of the body.

    The vendor adds what the query of the URL holds to the body, as "custom variables":
    https://help.pickyassist.com/api-documentation-v2/webhook/configuring-webhook-url
    """
    named = [name for name in _SECRET_FIELDS if name in body]
    if not named:
        return raw
    in_url = _secrets_in_url(request)
    leaked = [name for name in named if identifier(body[name]) in in_url]
    return raw_json.without_members(raw, leaked)


# The Global Webhook: what customer and account write to each other.


def _message(body: Mapping[str, Any], raw: bytes) -> NormalizedEvent:
    message_id = identifier(body.get("unique-id"))
    sender = _SENDERS.get(identifier(body.get("direction")))
    message = _content(body, message_id)
    return NormalizedEvent(
        type="message.created",
        detail=message["kind"],
        vendortype=identifier(body.get("type")) or "message",
        data=without_empty(
            contact=contact(
                body.get("messenger_id"),  # of Facebook Messenger, which knows no phone
                name=identifier(body.get("name")),
                phone=identifier(body.get("number")),
            ),
            account=without_empty(id=identifier(body.get("project-id"))),
            channel=without_empty(id=identifier(body.get("application"))),
            actor=actor(sender) if sender else {},
            message=message,
        ),
        raw=raw,
        identity=("unique-id", message_id) if message_id else "delivery",
    )


def _content(body: Mapping[str, Any], message_id: str | None) -> Data:
    said, url = _said(body), text(body.get("media-url"))
    return without_empty(
        id=message_id,
        kind=_kind(body, has_content=bool(said or url)),
        text=said,
        attachments=[{"url": url}] if url else [],
    )


def _said(body: Mapping[str, Any]) -> str | None:
    """Return the text, which is a number if digits were written: `message-in` is URL-encoded."""
    if said := identifier(body.get("message_in_raw")):
        return said
    encoded = identifier(body.get("message-in"))
    return unquote_plus(encoded) if encoded else None


def _kind(body: Mapping[str, Any], *, has_content: bool) -> str:
    """Return the kind. Objects count for more than numbers.

    In the vendor's samples a location has the number of a contact, and a choice that of a text.
    """
    if mapping(body.get("location")) or mapping(body.get("Location")):
        return "location"
    if mapping(body.get("interactive")):
        return "button_reply"
    people = mapping(body.get("contact")) or sequence(body.get("contact"))
    if people and not has_content:
        return "contact"
    return _KINDS.get(identifier(body.get("type")) or "", "unknown")


# Teambox: what agents do with a conversation.


def _teambox_event(body: Mapping[str, Any], raw: bytes) -> NormalizedEvent:
    number = identifier(body.get("event_id"))
    if number is None or "contact_id" not in body or "data" in body:
        raise Malformed("unknown_shape")
    event_type = _EVENTS.get(number)
    return NormalizedEvent(
        type=event_type or "unrecognized",
        detail="" if event_type else number,
        vendortype=number,
        time=from_epoch_s(body.get("timestamp")),
        data=_teambox_data(body, event_type),
        raw=raw,
        # "Kick Out All Users" sends one for each user, who is known by name alone, within
        # one second of the clock. All others are one person's act upon one contact.
        identity="delivery" if event_type == "conversation.left" else "element",
    )


def _teambox_data(body: Mapping[str, Any], event_type: str | None) -> Data:
    user = actor("agent", body.get("user_id"), name=body.get("user"))
    specific: Data = {"actor": user if len(user) > 1 else {}}
    match event_type:
        case "conversation.assigned":
            specific["assignment"] = _assignment(body)
        case "conversation.left":
            if remover := text(body.get("kicked_out_by")):
                is_system = remover.lower() == "system"
                specific["actor"] = actor("system" if is_system else "agent", name=remover)
            specific["member"] = actor("agent", name=body.get("kicked_out_user"))
    return without_empty(
        contact=without_empty(
            id=identifier(body.get("contact_id")), phone=identifier(body.get("contact_mobile"))
        ),
        account=without_empty(id=identifier(body.get("project_id"))),
        channel=without_empty(id=identifier(body.get("channel"))),
        **specific,
    )


def _assignment(body: Mapping[str, Any]) -> Data:
    # Only "Manual Assign" is published, not the words for a forced assignment.
    mode = (text(body.get("assign_type")) or "").lower()
    through = (text(body.get("assigned_through")) or "").lower()
    return without_empty(
        to=actor("agent", body.get("assigned_to_userid"), name=body.get("assigned_to")),
        mode="manual" if "manual" in mode else "forced" if "force" in mode else None,
        through=_THROUGH.get(through),
        via=text(body.get("connector_name")) or text(body.get("flow_name")),
    )
