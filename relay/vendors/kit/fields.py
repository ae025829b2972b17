"""Fields of an event's `data`, made of whatever a vendor sent. Pure.

Vendors change types at will, so nothing here raises: what is not of the expected type is unknown.
Ids are strings, and what is unknown is left out: never `null`, `""` or `{}`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from relay.events.event import Data

ActorType = Literal["agent", "bot", "contact", "system"]


def identifier(value: object) -> str | None:
    """Return an id as the string it stands for, or None when there is none.

    A float is no id: a number beyond 64 bits has lost digits by then.
    """
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def text(value: object) -> str | None:
    """Return a non-empty string, or None for everything else."""
    return value if type(value) is str and value else None


def identifier_in(value: object, name: str) -> str | None:
    """Return the id that an object has under name; None if it is no object or has none."""
    return identifier(value.get(name)) if type(value) is dict else None


def message_kind(value: object) -> str | None:
    """Return a vendor's message type as the kind of a message: `form.response` is form_response."""
    kind = text(value)
    return kind.replace(".", "_") if kind else None


def without_empty(**fields: object) -> Data:
    """Return the fields that hold something: None, "", [] and {} are left out."""
    if all(fields.values()):
        return fields
    return {name: value for name, value in fields.items() if value or value is False or value == 0}


def actor(actor_type: ActorType, actor_id: object = None, **fields: object) -> Data:
    """Return who did it: `type`, and `id`, `name` and `email` where they are known."""
    return _person({"type": actor_type}, actor_id, fields)


def contact(contact_id: object, **fields: object) -> Data:
    """Return the customer: `id`, `name`, `email` and `phone` where they are known."""
    return _person({}, contact_id, fields)


def _person(found: Data, person_id: object, fields: Data) -> Data:
    if known_id := identifier(person_id):
        found["id"] = known_id
    for name, value in fields.items():
        if type(value) is str and value:
            found[name] = value
    return found


def mapping(value: object) -> Mapping[str, Any]:
    """Return value if it is a JSON object, else an empty one: vendors change types at will."""
    return value if type(value) is dict else {}


def sequence(value: object) -> list[Any]:
    """Return value if it is a JSON array, else an empty one."""
    return value if type(value) is list else []
