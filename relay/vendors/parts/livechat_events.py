"""What an event of a LiveChat chat says, a message or a note, and who people are. Pure.

https://platform.text.com/docs/messaging/agent-chat-api#events
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from relay.events.event import Data, Identity
from relay.events.timestamps import from_utc_text
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
    variables,
    without_empty,
)

_CUSTOMER_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BOT_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_EVERYONE = (None, "", "all")
_ROLES: dict[str | None, ActorType] = {"agent": "agent", "customer": "contact"}

Payload = Mapping[str, Any]
Users = Mapping[str, Mapping[str, Any]]  # by id


class Read(NamedTuple):
    """What a webhook says, but for its account and its bytes; see NormalizedEvent."""

    type: str
    data: Data
    detail: str = ""
    time: str | None = None
    identity: Identity = "delivery"


def read_event(action: str, payload: Payload) -> Read:
    """Read an event of a chat: a new one, or one that was changed."""
    return _read(
        payload.get("chat_id"), payload.get("event"), {}, {}, is_new=action == "incoming_event"
    )


def read_first_event(chat_id: object, event: object, users: Users, customer: Data) -> Read:
    """Read an event that a chat begins with, which says who takes part."""
    return _read(chat_id, event, users, customer, is_new=True)


def _read(chat_id: object, value: object, users: Users, customer: Data, *, is_new: bool) -> Read:
    """Return a message, or a note if it is for agents alone."""
    event = mapping(value)
    kind = message_kind(event.get("type")) or "unknown"
    kind = "text" if kind == "message" else kind
    author = actor("system") if kind == "system_message" else person(event.get("author_id"), users)
    if not customer and author.get("type") == "contact":
        customer = contact(author.get("id"))
    data = of_chat(chat_id, customer) | without_empty(actor=author)
    content = _content(kind, event)
    time = from_utc_text(event.get("created_at")) if is_new else None
    identity: Identity = "delivery"
    if is_new:
        identity = told_apart_by("event", chat_id, event.get("id"))
    if _is_internal(event):
        data |= as_note(content)
        return Read("note.created", data, time=time, identity=identity)
    data |= without_empty(message=content)
    if is_new:
        return Read("message.created", data, kind, time, identity)
    return Read("message.updated", data, identity=identity)


def _is_internal(event: Mapping[str, Any]) -> bool:
    """Return whether not everyone sees an event: `visibility`, before 3.3 `recipients`."""
    return any(event.get(name) not in _EVERYONE for name in ("visibility", "recipients"))


def _content(kind: str, event: Mapping[str, Any]) -> Data:
    cards = [mapping(card) for card in sequence(event.get("elements"))]
    title = next(filter(None, [text(card.get("title")) for card in cards]), None)
    file = attachment(
        url=event.get("url"),
        mime_type=event.get("content_type"),
        file_name=event.get("name"),
        size_bytes=event.get("size"),
    )
    return without_empty(
        id=identifier(event.get("id")),
        kind=kind,
        text=text(event.get("text")) or title,
        attachments=[file] if file and kind == "file" else [],
        variables=_answers(event) if kind == "filled_form" else [],
    )


def _answers(event: Mapping[str, Any]) -> list[Data]:
    """Return what was entered: a `value`, since 3.3 also an `answer`, or several `answers`."""
    found = []
    for field in map(mapping, sequence(event.get("fields"))):
        values = [field.get(name) for name in ("value", "answer", "answers")]
        value = next((value for value in values if value not in (None, "", [])), None)
        if value is not None:
            named = without_empty(name=text(field.get("label")), type=text(field.get("type")))
            found.append(named | {"value": value})
    return found


def read_postback(_: str, payload: Payload) -> Read:
    """Read a press of a button of a rich message."""
    who = person(payload.get("user_id"))
    pressed = {"event_id": payload.get("event_id"), **mapping(payload.get("postback"))}
    data = of_chat(
        payload.get("chat_id"), contact(who.get("id")) if who.get("type") == "contact" else {}
    )
    message = without_empty(kind="postback", variables=variables(pressed))
    data |= without_empty(actor=who, message=message)
    return Read("message.created", data, "postback")


def told_apart_by(*words: object) -> Identity:
    """Return what tells an event apart; nothing does if one of the words is missing."""
    known = tuple(word for word in map(identifier, words) if word)
    return known if len(known) == len(words) else "delivery"


def of_chat(chat_id: object, customer: Data | None = None) -> Data:
    """Return which conversation an event is about, and whose it is."""
    conversation = without_empty(id=identifier(chat_id))
    return without_empty(conversation=conversation, contact=customer or {})


def users_of(chat: Mapping[str, Any]) -> Users:
    """Return who takes part in a chat."""
    people = map(mapping, sequence(chat.get("users")))
    return {user_id: user for user in people if (user_id := identifier(user.get("id")))}


def customer_of(users: Users) -> Data:
    """Return the customer, of whom a chat has one."""
    customers = [user for user in users.values() if user.get("type") == "customer"]
    return contact_of(customers[0] if customers else {})


def contact_of(user: Mapping[str, Any]) -> Data:
    """Return what is known of a customer."""
    return contact(user.get("id"), name=user.get("name"), email=user.get("email"))


def person(user_id: object, users: Users | None = None) -> Data:
    """Return a user. Where nothing says of which kind, the form of the id does.

    Customers have UUIDs, bots 32 hex digits, agents their e-mail addresses.
    """
    known_id = identifier(user_id)
    if known_id is None:
        return {}
    user = (users or {}).get(known_id, {})
    role = _ROLES.get(text(user.get("type")))
    if _BOT_ID.fullmatch(known_id) and role != "contact":
        role = "bot"  # it is an agent for the vendor
    elif role is None:
        is_customer = _CUSTOMER_ID.fullmatch(known_id)
        role = "contact" if is_customer else "agent" if "@" in known_id else None
    return actor(role, known_id, name=user.get("name"), email=user.get("email")) if role else {}
