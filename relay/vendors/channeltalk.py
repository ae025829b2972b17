"""Channel Talk (channel.io) webhooks.

https://developers.channel.io/docs/webhook-events-1, https://developers.channel.io/docs/getting-started-1

The URL carries a token that Channel made for the webhook: `?token=...`. A channel may have several
webhooks, so several tokens. After 100 answers of 4xx or 5xx in a row Channel blocks a webhook until
someone unblocks it. A header `x-quick-reply` would post our answer into the chat.
"""

from collections.abc import Mapping
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_ms
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

_CREATED = {"push", "create", "created"}
_UPDATED = {"update", "updated", "upsert", "upserted"}
_DELETED = {"delete", "deleted", "remove", "removed"}  # which one is not published

_TYPES = (
    ("message", _CREATED, "message.created"),
    ("message", _UPDATED, "message.updated"),
    ("userChat", _CREATED, "conversation.created"),
    ("userChat", _UPDATED, "conversation.updated"),
    ("user", _UPDATED, "contact.updated"),
    ("user", _DELETED, "contact.deleted"),
)
TYPES = frozenset(event_type for _, _, event_type in _TYPES)

_PEOPLE: dict[object, ActorType] = {"manager": "agent", "bot": "bot", "user": "contact"}
_CONTENTS = ("log", "form", "carousel", "buttons", "webPage", "email", "meet", "marketing")


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless a `token` of the query is live."""
    require_secret(request.query("token"), secrets)


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the one event; none for an empty test call.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    model, verb = text(body.get("type")), text(body.get("event"))
    entity = body.get("entity")
    if model is None or verb is None or type(entity) is not dict:
        raise Malformed("unknown_shape")
    event_type = _event_type(model, verb)
    data = _data(event_type, entity, mapping(body.get("refers")))
    detail = ""
    if event_type == "message.created":
        detail = data["message"]["kind"]
    elif event_type == "unrecognized":
        detail = f"{model}_{verb}"
    is_change = event_type.endswith(("updated", "deleted"))
    clock = (is_change and entity.get("updatedAt")) or entity.get("createdAt")
    return [
        NormalizedEvent(
            type=event_type,
            detail=detail,
            vendortype=f"{model}.{verb}",
            time=from_epoch_ms(clock),
            data=data,
            raw=raw,
            identity=_identity(model, verb, entity),
        )
    ]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body to a URL with the token in its query."""
    headers = {"Content-Type": "application/json"}
    return OutgoingRequest(body=body, headers=headers, query={"token": secret})


def _event_type(model: str, verb: str) -> str:
    for known_model, verbs, event_type in _TYPES:
        if model == known_model and verb in verbs:
            return event_type
    return "unrecognized"


def _identity(model: str, verb: str, entity: Mapping[str, Any]) -> Identity:
    """Return what tells a change apart, whatever else comes along: the entity and its version.

    Without them, nothing does: an update is the same as the next one but for its version.
    """
    entity_id, version = identifier(entity.get("id")), identifier(entity.get("version"))
    if entity_id is None or version is None:
        return "delivery"
    return model.lower(), verb, entity_id, version  # `message` has been seen as `Message`


def _data(event_type: str, entity: Mapping[str, Any], refers: Mapping[str, Any]) -> Data:
    data = without_empty(account=without_empty(id=identifier(entity.get("channelId"))))
    match event_type:
        case "message.created" | "message.updated":
            data |= _message(entity, refers)
        case "conversation.created" | "conversation.updated":
            data |= _user_chat(entity, refers)
        case "contact.updated" | "contact.deleted":
            data |= without_empty(contact=_contact(entity.get("id"), entity))
    return data


def _message(entity: Mapping[str, Any], refers: Mapping[str, Any]) -> Data:
    role = text(entity.get("personType"))
    kind = _PEOPLE.get(role)
    person = mapping(refers.get(role or ""))
    who = {"name": person.get("name"), "email": person.get("email")}
    user = mapping(refers.get("user"))
    contact_id = entity.get("personId") if kind == "contact" else user.get("id")
    return without_empty(
        conversation=without_empty(id=identifier(entity.get("chatId"))),
        contact=_contact(contact_id, user),
        actor=actor(kind, entity.get("personId"), **who) if kind else {},
        message=without_empty(
            id=identifier(entity.get("id")),
            kind=_kind(entity),
            text=text(entity.get("plainText")) or _text_of(sequence(entity.get("blocks"))),
            attachments=list(filter(None, map(_attachment, sequence(entity.get("files"))))),
        ),
    )


def _kind(entity: Mapping[str, Any]) -> str:
    """Return `text` if the message has any, else what it carries instead."""
    if entity.get("plainText") or entity.get("blocks"):
        return "text"
    if entity.get("files"):
        return "file"
    return next((name for name in _CONTENTS if entity.get(name)), "unknown")


def _text_of(blocks: list[Any]) -> str | None:
    """Return the lines of blocks; a block of type `bullets` holds further blocks."""
    lines = []
    for block in map(mapping, blocks):
        nested = sequence(block.get("blocks"))
        line = _text_of(nested) if nested else text(block.get("value"))
        if line:
            lines.append(line)
    return "\n".join(lines) or None


def _attachment(value: object) -> Data:
    file = mapping(value)
    return without_empty(
        url=text(file.get("url")),
        mime_type=text(file.get("contentType")) or text(file.get("type")),
        file_name=text(file.get("name")),
    )


def _user_chat(entity: Mapping[str, Any], refers: Mapping[str, Any]) -> Data:
    assignee = identifier(entity.get("assigneeId"))
    return without_empty(
        conversation=without_empty(
            id=identifier(entity.get("id")),
            title=text(entity.get("name")),
            created_at=from_epoch_ms(entity.get("createdAt")),
        ),
        contact=_contact(entity.get("userId"), mapping(refers.get("user"))),
        assignment=without_empty(to=actor("agent", assignee) if assignee else {}),
        status=text(entity.get("state")),
    )


def _contact(contact_id: object, user: Mapping[str, Any]) -> Data:
    return contact(
        contact_id, name=user.get("name"), email=user.get("email"), phone=user.get("mobileNumber")
    )
