"""Fields of an event's `data`, from whatever a vendor sent. Pure.

Vendors change types at will, so nothing here raises: a value of another type counts as unknown.
Ids are strings, and what is unknown is left out: never `null`, `""` or `{}`.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from relay.events.event import Data

ActorType = Literal["agent", "bot", "contact", "system", "team"]

_WORD = re.compile(r"[a-z0-9]+")


def identifier(value: object) -> str | None:
    """Return an id as a string, or None when there is none.

    A float is no id: it may be a number beyond 64 bits, which has lost digits by then.
    """
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def text(value: object) -> str | None:
    """Return a non-empty string, or None for everything else."""
    return value if type(value) is str and value else None


def identifier_in(value: object, name: str) -> str | None:
    """Return the id that an object has under name, or None when it has none or is no object."""
    return identifier(value.get(name)) if type(value) is dict else None


def message_kind(value: object) -> str | None:
    """Return a vendor's message type as a kind: `form.response` becomes `form_response`."""
    kind = text(value)
    return kind.replace(".", "_") if kind else None


def says(value: object, word: str) -> bool:
    """Return whether value says a word, in any case: as text, in a list, or as a set member.

    It is for what must not be overlooked in any form, such as that a message is internal.
    """
    if type(value) is str:
        return word in _WORD.findall(value.lower())
    if type(value) is list:
        return any(says(each, word) for each in value)
    return type(value) is dict and any(
        says(name, word) for name, member in value.items() if member not in (None, False)
    )


def without_empty(**fields: object) -> Data:
    """Return the fields without those that are None, "", [] or {}; False and 0 stay."""
    if all(fields.values()):
        return fields
    return {name: value for name, value in fields.items() if value or value is False or value == 0}


def actor(actor_type: ActorType, actor_id: object = None, **fields: object) -> Data:
    """Return who did something: `type`, and `id`, `name` and `email` where they are known."""
    return _person({"type": actor_type}, actor_id, fields)


def contact(contact_id: object, **fields: object) -> Data:
    """Return the customer: `id`, `name`, `email` and `phone` where they are known."""
    return _person({}, contact_id, fields)


def _person(person: Data, person_id: object, fields: Data) -> Data:
    if known_id := identifier(person_id):
        person["id"] = known_id
    for name, value in fields.items():
        if type(value) is str and value:
            person[name] = value
    return person


def attachment(  # noqa: PLR0913  the fields of an attachment, in the words of the contract
    *,
    url: object = None,
    attachment_id: object = None,
    key: object = None,
    mime_type: object = None,
    file_name: object = None,
    size_bytes: object = None,
) -> Data:
    """Return a file that was sent; nothing if no `url`, `id` or `key` says where it is."""
    place = without_empty(url=text(url), id=identifier(attachment_id), key=text(key))
    if not place:
        return {}
    return place | without_empty(
        mime_type=text(mime_type),
        file_name=text(file_name),
        size_bytes=size_bytes if type(size_bytes) is int and size_bytes >= 0 else None,
    )


def as_note(message: Data) -> Data:
    """Return a message that the customer does not see: its text is the note's, and nowhere else."""
    rest = {name: value for name, value in message.items() if name != "text"}
    return {"message": rest} | without_empty(note=without_empty(text=message.get("text")))


def variables(values: Mapping[str, object]) -> list[Data]:
    """Return what was chosen or entered, by name; nothing for what has no value."""
    return [{"name": name, "value": value} for name, value in values.items() if value is not None]


def detail_of(event_type: str, vendortype: str, data: Data) -> str:
    """Return an event's detail: the kind of a new message, the vendor's word for anything else.

    Only `message.created` and `unrecognized` have one.
    """
    if event_type == "message.created":
        return str(data["message"]["kind"])
    return vendortype if event_type == "unrecognized" else ""


def mapping(value: object) -> Mapping[str, Any]:
    """Return value if it is a JSON object, else an empty one."""
    return value if type(value) is dict else {}


def sequence(value: object) -> list[Any]:
    """Return value if it is a JSON array, else an empty one."""
    return value if type(value) is list else []
