"""Whom and what an event of Chatwoot is about, and what its messages say. Pure.

https://github.com/chatwoot/docs/blob/main/docs/product/others/webhook-events.md
"""

from collections.abc import Mapping
from typing import Any

from relay.events.event import Data
from relay.vendors.kit.fields import (
    ActorType,
    actor,
    as_note,
    attachment,
    contact,
    identifier,
    mapping,
    message_kind,
    sequence,
    text,
    without_empty,
)

MESSAGES = {"message_created": "message.created", "message_updated": "message.updated"}
_PEOPLE: dict[str | None, ActorType] = {
    "user": "agent",
    "contact": "contact",
    "agent_bot": "bot",
    "captain_assistant": "bot",
}
_WRITERS: dict[str | None, ActorType] = {
    "incoming": "contact",
    "outgoing": "agent",
    "template": "system",
}
_NUMBERS = ("incoming", "outgoing", "activity", "template")

Typed = tuple[str, str, Data]  # the event's type, its detail, and its data


def read_message(vendortype: str, body: Mapping[str, Any]) -> Typed:
    """Read a message. A private one is a note; an activity is a line that only agents see."""
    event_type = MESSAGES[vendortype]
    written_by = body.get("message_type")
    if type(written_by) is int and 0 <= written_by < len(_NUMBERS):
        written_by = _NUMBERS[written_by]
    conversation = mapping(body.get("conversation"))
    writer = person(body.get("sender"), _WRITERS.get(text(written_by)))
    data = chat_data(conversation, body) | without_empty(actor=writer)
    if written_by == "activity":
        return "unrecognized", f"{vendortype}_activity", data
    content = _content(body)
    if body.get("private") not in (None, False):
        return "note.created", "", data | as_note(content)
    data |= without_empty(message=content, status=text(body.get("status")))
    return event_type, content["kind"] if event_type == "message.created" else "", data


def _content(message: Mapping[str, Any]) -> Data:
    files = [mapping(file) for file in sequence(message.get("attachments"))]
    said = text(message.get("content"))
    kind = message_kind(message.get("content_type")) or "text"
    if kind == "text" and files and not said:
        kind = message_kind(files[0].get("file_type")) or "file"
    return without_empty(
        id=identifier(message.get("id")),
        kind=kind,
        text=said,
        attachments=[found for found in map(_attachment, files) if found],
        variables=_answers(mapping(message.get("content_attributes"))),
    )


def _attachment(file: Mapping[str, Any]) -> Data:
    """Return a file; nothing for a location or a contact, which has no URL."""
    if not text(file.get("data_url")):
        return {}
    return attachment(
        url=file.get("data_url"), attachment_id=file.get("id"), size_bytes=file.get("file_size")
    )


def _answers(attributes: Mapping[str, Any]) -> list[Data]:
    """Return what a customer entered into a form of a bot."""
    submitted = attributes.get("submitted_values")
    answers = [
        (text(answer.get("name")) or text(answer.get("title")), answer.get("value"))
        for answer in map(mapping, sequence(submitted))
    ]
    answers += mapping(submitted).items()
    answers.append(("submitted_email", text(attributes.get("submitted_email"))))
    return [
        without_empty(name=name) | {"value": value} for name, value in answers if value is not None
    ]


def chat_data(conversation: Mapping[str, Any], body: Mapping[str, Any]) -> Data:
    """Return whom and what an event is about."""
    inbox, sender = mapping(body.get("inbox")), mapping(body.get("sender"))
    meta, link = mapping(conversation.get("meta")), mapping(conversation.get("contact_inbox"))
    return without_empty(
        conversation=without_empty(
            id=identifier(conversation.get("id")) or identifier(conversation.get("display_id"))
        ),
        contact=customer(meta.get("sender"))
        or customer(body.get("contact"))
        or (customer(sender) if sender.get("type") == "contact" else {})
        or contact(link.get("contact_id")),
        account=without_empty(id=account_of(body) or account_of(conversation)),
        channel=without_empty(
            id=identifier(inbox.get("id")) or identifier(conversation.get("inbox_id")),
            type=text(conversation.get("channel")),
        ),
    )


def account_of(part: Mapping[str, Any]) -> str | None:
    """Return the id of the account that a part of a payload names."""
    return identifier(mapping(part.get("account")).get("id")) or identifier(part.get("account_id"))


def customer(value: object) -> Data:
    """Return a contact; nothing for an agent or a bot."""
    sender = mapping(value)
    if text(sender.get("type")) not in (None, "contact"):
        return {}
    return contact(
        sender.get("id"),
        name=sender.get("name"),
        email=sender.get("email"),
        phone=sender.get("phone_number"),
    )


def person(value: object, role: ActorType | None) -> Data:
    """Return who wrote a message. Older versions say it by the kind of message alone."""
    user = mapping(value)
    known = _PEOPLE.get(text(user.get("type"))) or role
    if not known:
        return {}
    return actor(known, user.get("id"), name=user.get("name"), email=user.get("email"))
