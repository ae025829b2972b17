"""JSON Schemas of the events: one file per type, and shared.json for what they have in common.

They are open: a later version of the relay or of CloudEvents may add members. They use only
keywords that drafts 7 and 2020-12 share, because AsyncAPI reads them as draft 7.
"""

import json
from importlib.resources import files
from typing import Any

from relay.events.event import TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema(event_type: str) -> Schema:
    """Return the schema of a type of event, with everything that it refers to.

    Raises:
        ValueError: there is no such type.
    """
    if event_type not in TYPES:
        raise ValueError(f"there is no event type {event_type}; `relay schema` lists them")
    return {"$schema": DIALECT, **_read(event_type), "$defs": shared()}


def shared() -> dict[str, Schema]:
    """Return what the schemas refer to as `#/$defs/<name>`."""
    return _read("shared")


def titles() -> dict[str, str]:
    """Return what each type of event means: one sentence per type."""
    return {event_type: str(_read(event_type)["title"]) for event_type in sorted(TYPES)}


def _read(name: str) -> Schema:
    content: Schema = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    return content
