"""An event on one line: for a person, or for a program."""

from collections.abc import Mapping
from typing import Any

from relay.cli.output import shortened, show_row
from relay.vendors.kit.fields import mapping, sequence

_MAX_EXCERPT_CHARACTERS = 100


def show_event(routing_key: str, document: Mapping[str, Any]) -> None:
    """Print the parts of an event that tell a person most.

    Args:
        routing_key: as it was published.
        document: the CloudEvents document.
    """
    data = mapping(document["data"])
    show_row(
        str(document.get("time") or document.get("recordedtime") or ""),
        routing_key,
        str(document.get("subject", "")),
        _name(mapping(data.get("actor"))),
        excerpt(data, str(document.get("type", ""))),
        styles=("dim", "cyan", "", "magenta", "bold"),
    )


def excerpt(data: Mapping[str, Any], event_type: str = "") -> str:
    """Return what tells a person most of an event of this type, or "" if nothing does."""
    message, note = mapping(data.get("message")), mapping(data.get("note"))
    to = _name(mapping(mapping(data.get("assignment")).get("to")))
    candidates = [
        message.get("text"),
        note.get("text"),
        *[
            _first(file, "url", "file_name", "key", "id")
            for file in _objects(message, "attachments")
        ],
        *[_first(variable, "value") for variable in _objects(message, "variables")],
        ", ".join([_first(label, "name", "id") for label in _objects(data, "labels")]),
        _name(mapping(data.get("member"))),
        to if event_type == "conversation.assigned" else "",
        data.get("status"),
        to,
    ]
    return shortened(str(next(filter(None, candidates), "")), _MAX_EXCERPT_CHARACTERS)


def _objects(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    return [mapping(member) for member in sequence(holder.get(name))]


def _first(holder: Mapping[str, Any], *names: str) -> str:
    return str(next(filter(None, map(holder.get, names)), ""))


def on_one_line(body: bytes) -> bytes:
    """Return JSON with blanks for its line breaks, which can only be white space in JSON."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def _name(actor: Mapping[str, Any]) -> str:
    names = (actor.get("type"), actor.get("name") or actor.get("email") or actor.get("id"))
    return " ".join(str(name) for name in names if name)
