"""An event on one line: for a person, or for a program."""

from collections.abc import Mapping
from typing import Any

from relay.cli.output import show_row
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
        excerpt(data),
        styles=("dim", "cyan", "", "magenta", "bold"),
    )


def excerpt(data: Mapping[str, Any]) -> str:
    """Return the text of an event that tells a person most, or "" if there is none."""
    message, note = mapping(data.get("message")), mapping(data.get("note"))
    to = mapping(mapping(data.get("assignment")).get("to"))
    urls = [mapping(file).get("url") for file in sequence(message.get("attachments"))]
    candidates = [message.get("text"), note.get("text"), *urls, data.get("status"), _name(to)]
    text = str(next(filter(None, candidates), ""))
    if len(text) <= _MAX_EXCERPT_CHARACTERS:
        return text
    return text[: _MAX_EXCERPT_CHARACTERS - 1] + "…"


def on_one_line(body: bytes) -> bytes:
    """Return JSON with blanks for its line breaks, which can only be white space in JSON."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def _name(actor: Mapping[str, Any]) -> str:
    names = (actor.get("type"), actor.get("name") or actor.get("email") or actor.get("id"))
    return " ".join(str(name) for name in names if name)
