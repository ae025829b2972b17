"""JSON Schemas of the events, one file per type beside this one; what they share is in shared.json.

They are open: a member that is not named may come, with a later version of the relay or of
CloudEvents. Only keywords that drafts 7 and 2020-12 have in common, as AsyncAPI wants them.
"""

import json
from importlib.resources import files
from typing import Any

from relay.events.event import TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema(event_type: str) -> Schema:
    """Return the schema of a type of event, with all it refers to.

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
    """Return what each type of event means, in a sentence."""
    return {it: str(_read(it)["title"]) for it in sorted(TYPES)}


def _read(name: str) -> Schema:
    found: Schema = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    return found
