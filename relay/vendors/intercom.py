"""Intercom webhooks.

https://developers.intercom.com/docs/references/webhooks/webhook-models
https://developers.intercom.com/docs/webhooks/setting-up-webhooks

`X-Hub-Signature` is the hex HMAC-SHA1 of the body under the app's client secret. One POST is one
notification; a resend has the same `id`. The conversation in it holds the part that is new.
"""

import hmac
import re
from collections.abc import Mapping
from html import unescape
from typing import Any

from relay.errors import Malformed
from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.timestamps import from_epoch_s
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_signature_by
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    attachment,
    contact,
    detail_of,
    identifier,
    mapping,
    says,
    sequence,
    text,
    without_empty,
)
from relay.vendors.kit.markup import without_markup
from relay.vendors.kit.request import Answer, OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

SETUP = Setup(
    enter="Developer Hub, your app, Webhooks: the URL and the topics; copy the app's client "
    "secret.",
    is_copied=True,
)
SIGNATURE = "x-hub-signature"
ASKS = ("HEAD",)

_TOPICS = {
    "conversation.admin.assigned": "conversation.assigned",
    "conversation.admin.open.assigned": "conversation.assigned",
    "conversation.admin.closed": "conversation.closed",
    "conversation.admin.opened": "conversation.opened",
    "conversation.admin.snoozed": "conversation.status_changed",
    "conversation.admin.unsnoozed": "conversation.status_changed",
    "conversation.admin.noted": "note.created",
    "conversation.priority.updated": "conversation.updated",
    "conversation_part.redacted": "message.updated",
    "conversation_part.tag.created": "labels.added",
    "contact.tag.created": "labels.added",
    "contact.tag.deleted": "labels.removed",
    "contact.deleted": "contact.deleted",
    "user.deleted": "contact.deleted",
    "user.tag.created": "labels.added",
    "user.tag.deleted": "labels.removed",
    "admin.away_mode_updated": "agent.status_changed",
    "admin.logged_in": "agent.status_changed",
    "admin.logged_out": "agent.status_changed",
}
# Of a conversation, who began it or replied stands in the middle: `user`, `admin.single`.
_CREATED = re.compile(r"conversation\.[a-z.]+\.created")
_REPLIED = re.compile(r"conversation\.[a-z.]+\.replied")
_CONTACT = re.compile(r"(?:contact|user|visitor)\.[a-z_.]+")
TYPES = frozenset({*_TOPICS.values(), "conversation.created", "message.created", "contact.updated"})

_PERSON = ("type", "id", "name", "email")
FIELDS = (  # that the code reads, or that are documented, and that no sample shows
    *[f"/data/item/{place}/{name}" for place in ("user", "assignee") for name in _PERSON],
    *[f"/data/item/conversation_message/{name}" for name in ("type", "id", "subject", "body")],
    *[f"/data/item/conversation_message/author/{name}" for name in _PERSON],
    *("/data/item/conversation_message/attachments", "/data/item/custom_attributes/*"),
)

_AUTHORS: dict[object, ActorType] = {
    "user": "contact",
    "lead": "contact",
    "contact": "contact",
    "visitor": "contact",
    "admin": "agent",
    "team": "team",
    "bot": "bot",
    "operator": "bot",
}
_LINE_END = re.compile(r"<br ?/?>|</(?:p|div|li|h[1-6]|pre|blockquote|tr)>", re.IGNORECASE)
_IMAGE = re.compile(r"""<img\s[^<>]{0,999}?\bsrc=["']([^<>"']{1,4096})["']""", re.IGNORECASE)


def authenticate(request: Request, secrets: Secrets) -> None:
    """Raise Unauthenticated unless the body was signed with a live client secret."""
    require_signature_by(_header_of, request.headers.get(SIGNATURE), request.body, secrets)


def answer(request: Request, _: Secrets) -> Answer | None:
    """Return an empty answer to HEAD, by which Intercom looks whether the URL is there.

    Nothing proves who asks, so nothing is said.
    """
    return Answer() if request.method == "HEAD" else None


def normalize(request: Request) -> list[NormalizedEvent]:
    """Return the event; none for a `ping`; two for a new conversation and what it began with.

    Raises:
        Malformed: `not_json`, `too_deep` or `unknown_shape`.
    """
    raw = raw_json.strip_bom(request.body)
    if not raw:
        return []
    body = mapping(raw_json.parse(raw))
    topic = text(body.get("topic"))
    if topic is None:
        raise Malformed("unknown_shape")
    if topic == "ping":
        return []
    event_types = _event_types(topic)
    return [_event(event_type, topic, body, raw) for event_type in event_types]


def sign(body: bytes, secret: str) -> OutgoingRequest:
    """Return the delivery of body with the signature of its bytes."""
    headers = {"Content-Type": "application/json", SIGNATURE: _header_of(body, secret)}
    return OutgoingRequest(body=body, headers=headers)


def handshake(secret: str) -> OutgoingRequest:
    """Return the `ping` that is sent when the URL is saved."""
    return sign(b'{"type":"notification_event","topic":"ping","data":{"item":{}}}', secret)


def _header_of(message: bytes, secret: str) -> str:
    return f"sha1={hmac.digest(secret.encode(), message, 'sha1').hex()}"


def _event_types(topic: str) -> list[str]:
    if event_type := _TOPICS.get(topic):
        return [event_type]
    if _CREATED.fullmatch(topic):
        return ["conversation.created", "message.created"]
    if _REPLIED.fullmatch(topic):
        return ["message.created"]
    return ["contact.updated" if _CONTACT.fullmatch(topic) else "unrecognized"]


def _event(event_type: str, topic: str, body: Mapping[str, Any], raw: bytes) -> NormalizedEvent:
    item = mapping(mapping(body.get("data")).get("item"))
    part = _source(item) if _CREATED.fullmatch(topic) else _part(item)
    if event_type.startswith("message.") and says(part.get("part_type"), "note"):
        event_type = "note.created"  # also one that was redacted, or that came as a reply
    data = without_empty(account=without_empty(id=identifier(body.get("app_id"))))
    data |= _data(event_type, topic, item, part)
    clock = part.get("created_at") if event_type in ("message.created", "note.created") else None
    return NormalizedEvent(
        type=event_type,
        detail=detail_of(event_type, topic, data),
        vendortype=topic,
        time=from_epoch_s(clock) or from_epoch_s(body.get("created_at")),
        data=data,
        raw=raw,
        identity=_identity(body, event_type),
    )


def _identity(body: Mapping[str, Any], event_type: str) -> Identity:
    """Return the notification's id, which stays when it is sent again. It may make two events."""
    notification_id = identifier(body.get("id"))
    return (notification_id, event_type) if notification_id else "delivery"


def _data(event_type: str, topic: str, item: Mapping[str, Any], part: Mapping[str, Any]) -> Data:
    if event_type.startswith("contact."):
        return without_empty(contact=_contact(item))
    if event_type == "agent.status_changed":
        return without_empty(
            actor=_person(dict(item) | {"type": "admin"}), status=_agent_status(topic, item)
        )
    if topic.endswith((".tag.created", ".tag.deleted")):
        return _labels(item)
    if not topic.startswith("conversation"):
        return {}
    details: Data = {}
    if event_type == "conversation.created":
        details["title"] = text(item.get("title")) or _plain(_source(item).get("subject"))
        details["created_at"] = from_epoch_s(item.get("created_at"))
    data = _parties(item, part, details)
    match event_type:
        case "message.created":
            data["message"] = _message(part)
        case "message.updated":
            data["message"] = without_empty(id=identifier(part.get("id")))
            data["status"] = "redacted"
        case "note.created":
            data |= as_note(_message(part))
    return without_empty(**data)


def _source(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a conversation began with. Before version 2 it had another name."""
    return mapping(item.get("source")) or mapping(item.get("conversation_message"))


def _part(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the newest part of a conversation, else what it began with."""
    parts = sequence(mapping(item.get("conversation_parts")).get("conversation_parts"))
    return (mapping(parts[-1]) if parts else {}) or _source(item)


def _parties(item: Mapping[str, Any], part: Mapping[str, Any], details: Data) -> Data:
    author = mapping(part.get("author"))
    source = _source(item)
    people = sequence(mapping(item.get("contacts")).get("contacts"))
    customer = mapping(people[0]) if people else mapping(item.get("user"))
    known = {}
    for person in (author, mapping(source.get("author"))):
        if _AUTHORS.get(text(person.get("type"))) == "contact":
            known = dict(person)
            break
    if identifier(customer.get("id")):
        known["id"] = customer["id"]
    return without_empty(
        conversation=without_empty(id=identifier(item.get("id")), **details),
        contact=_contact(dict(customer) | known),
        channel=without_empty(type=text(source.get("type"))),
        actor=_person(author),
        assignment=without_empty(to=_assignee(item, part)),
        status=text(item.get("state")),
    )


def _contact(person: Mapping[str, Any]) -> Data:
    return contact(
        person.get("id"),
        name=person.get("name"),
        email=person.get("email"),
        phone=person.get("phone"),
    )


def _person(person: Mapping[str, Any]) -> Data:
    kind = _AUTHORS.get(text(person.get("type")))
    if not kind:
        return {}
    return actor(kind, person.get("id"), name=person.get("name"), email=person.get("email"))


def _assignee(item: Mapping[str, Any], part: Mapping[str, Any]) -> Data:
    """Return to whom the part gave the conversation, else whose it is."""
    for person in (part.get("assigned_to"), item.get("assignee")):
        if found := _person(mapping(person)):
            return found if "id" in found else {}
    agent, team = (
        identifier(item.get("admin_assignee_id")),
        identifier(item.get("team_assignee_id")),
    )
    if agent and agent != "0":
        return actor("agent", agent)
    return actor("team", team) if team and team != "0" else {}


def _agent_status(topic: str, item: Mapping[str, Any]) -> str | None:
    """Return the end of `admin.logged_in`, or what `admin.away_mode_updated` says."""
    if topic != "admin.away_mode_updated":
        return topic.removeprefix("admin.")
    away = item.get("away_mode_enabled")
    if type(away) is bool:
        return "away" if away else "available"
    return None


def _labels(item: Mapping[str, Any]) -> Data:
    """Return the tags, and what they were given to: a contact, or a part of a conversation."""
    tag = mapping(item.get("tag"))
    tags = [tag] if tag else sequence(mapping(item.get("tags_added")).get("tags"))
    labels = [
        without_empty(id=identifier(label.get("id")), name=text(label.get("name")))
        for label in map(mapping, tags)
    ]
    person = mapping(item.get("contact")) or mapping(item.get("user"))
    is_conversation = item.get("type") == "conversation"
    data = _parties(item, _part(item), {}) if is_conversation else {}
    return data | without_empty(contact=_contact(person), labels=list(filter(None, labels)))


def _message(part: Mapping[str, Any]) -> Data:
    body = text(part.get("body"))
    words = _plain(body)
    files = list(map(mapping, sequence(part.get("attachments"))))
    images = _IMAGE.findall(body or "") if _is_html(body) else []
    attachments = [
        attachment(
            url=file.get("url"),
            mime_type=file.get("content_type"),
            file_name=file.get("name"),
            size_bytes=file.get("filesize"),
        )
        for file in files
    ]
    attachments += [attachment(url=unescape(url)) for url in images]
    attachments = list(filter(None, attachments))
    kind = "text" if words else "file" if attachments else text(part.get("part_type"))
    return without_empty(
        id=identifier(part.get("id")),
        kind=kind or "unknown",
        text=words,
        attachments=attachments,
    )


def _is_html(body: str | None) -> bool:
    """Return whether a body is HTML; since version 2.15 of the API it is plain text."""
    return body is not None and body.startswith("<")


def _plain(body: object) -> str | None:
    words = text(body)
    if not _is_html(words):
        return words
    return without_markup(_LINE_END.sub("\n", words or "")).strip() or None
