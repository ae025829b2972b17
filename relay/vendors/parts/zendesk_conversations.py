"""Sunshine Conversations v2: several events in a delivery, each with an id of its own.

https://developer.zendesk.com/documentation/conversations/messaging-platform/programmable-conversations/receiving-messages/
https://developer.zendesk.com/api-reference/conversations/#tag/Webhooks
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, NormalizedEvent, NotUnderstood
from relay.events.timestamps import from_utc_text
from relay.vendors.kit.batches import read_batch, read_element, understand_each
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    attachment,
    contact,
    detail_of,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    variables,
    without_empty,
)

_DELIVERY = "conversation:message:delivery:"
_TYPES = {
    "conversation:create": "conversation.created",
    "conversation:join": "conversation.joined",
    "conversation:leave": "conversation.left",
    "conversation:message": "message.created",
    "conversation:postback": "message.created",
    "conversation:read": "message.status_changed",
    "user:create": "contact.updated",
    "user:update": "contact.updated",
}
TYPES: frozenset[str] = frozenset(_TYPES.values())

_USERS = ("/payload/user", "/payload/message/author/user", "/payload/activity/author/user")
FIELDS: tuple[str, ...] = (
    *[f"{user}/profile/phone" for user in _USERS],
    *[f"{user}/metadata/*" for user in _USERS],
    *("/payload/conversation/metadata/*", "/payload/message/metadata/*"),
)

_BOTS = {"zd:answerBot", "zd:bot"}


def normalized(raw: bytes) -> list[NormalizedEvent | NotUnderstood] | None:
    """Return one event per element of `events`; None if the body has no such member.

    Raises:
        Malformed: `not_json`, `too_deep`, `unknown_shape` or `too_many_events`, where that is so
            of all elements.
    """
    if b"events" not in raw:
        return None
    document, texts = read_batch(raw, "events")
    if "events" not in document:
        return None
    if document["events"] != [0] * len(texts):
        raise Malformed("unknown_shape")
    app_id = identifier(mapping(document.get("app")).get("id"))
    return understand_each(map(read_element, texts), partial(_event, app_id=app_id))


def alone(raw: bytes) -> list[NormalizedEvent | NotUnderstood]:
    """Return an event that comes alone, as the quarantine keeps one that was not understood."""
    return understand_each([read_element(raw)], _event)


def _event(value: Any, raw: bytes, *, app_id: str | None = None) -> NormalizedEvent:
    event = mapping(value)
    vendortype, payload = text(event.get("type")), event.get("payload")
    if vendortype is None or type(payload) is not dict:
        raise Malformed("unknown_shape")
    event_type = _TYPES.get(vendortype, "unrecognized")
    if vendortype.startswith(_DELIVERY):
        event_type = "message.status_changed"
    data = without_empty(account=without_empty(id=app_id)) | _data(vendortype, payload)
    event_id = identifier(event.get("id"))
    return NormalizedEvent(
        type=event_type,
        detail=detail_of(event_type, vendortype, data),
        vendortype=vendortype,
        time=from_utc_text(event.get("createdAt")),
        data=data,
        raw=raw,
        identity=("conversations", event_id) if event_id else "delivery",
    )


def _data(vendortype: str, payload: Mapping[str, Any]) -> Data:
    message, activity = mapping(payload.get("message")), mapping(payload.get("activity"))
    conversation = mapping(payload.get("conversation"))
    author = mapping(message.get("author")) or mapping(activity.get("author"))
    source = mapping(message.get("source")) or mapping(payload.get("source"))
    source = source or mapping(activity.get("source")) or mapping(payload.get("destination"))
    user = mapping(payload.get("user")) or mapping(author.get("user"))
    if not user and author.get("type") == "user":
        user = {"id": author.get("userId"), "name": author.get("displayName")}
    data: Data = {
        "conversation": without_empty(id=identifier(conversation.get("id"))),
        "contact": _contact(user),
        "channel": without_empty(type=text(source.get("type"))),
        "actor": _actor(author, source),
    }
    match vendortype:
        case "conversation:message":
            data["message"] = _message(message)
        case "conversation:postback":
            data["actor"] = data["actor"] or actor("contact", user.get("id"))
            data["message"] = _postback(mapping(payload.get("postback")))
        case "conversation:read":
            data["status"] = "read"
        case "conversation:create":
            data["conversation"] |= without_empty(
                title=text(conversation.get("displayName")),
                created_at=from_utc_text(conversation.get("createdAt")),
            )
        case "conversation:join" | "conversation:leave":
            data["member"] = actor("contact", user.get("id")) if user else {}
        case _ if vendortype.startswith(_DELIVERY):
            data["message"] = without_empty(id=identifier(message.get("id")))
            data["status"] = vendortype.removeprefix(_DELIVERY)
    return without_empty(**data)


def _contact(user: Mapping[str, Any]) -> Data:
    profile = mapping(user.get("profile"))
    names = [text(profile.get("givenName")), text(profile.get("surname"))]
    return contact(
        user.get("id"),
        name=text(user.get("name")) or " ".join(filter(None, names)),
        email=profile.get("email"),
        phone=profile.get("phone"),
    )


def _actor(author: Mapping[str, Any], source: Mapping[str, Any]) -> Data:
    name = author.get("displayName")
    match author.get("type"):
        case "user":
            return actor("contact", author.get("userId"), name=name)
        case "business":
            is_bot = "AI" in sequence(author.get("subtypes")) or text(source.get("type")) in _BOTS
            kind: ActorType = "bot" if is_bot else "agent"
            return actor(kind, author.get("userId"), name=name)
    return {}


def _message(message: Mapping[str, Any]) -> Data:
    content = mapping(message.get("content"))
    file = attachment(
        url=content.get("mediaUrl"),
        mime_type=content.get("mediaType"),
        file_name=content.get("altText"),
        size_bytes=content.get("mediaSize"),
    )
    return without_empty(
        id=identifier(message.get("id")),
        kind=message_kind(content.get("type")) or "unknown",
        text=text(content.get("text")),
        attachments=[file] if file else [],
    )


def _postback(postback: Mapping[str, Any]) -> Data:
    return without_empty(
        kind="postback",
        text=text(postback.get("text")),
        variables=variables({"payload": postback.get("payload")}),
    )
