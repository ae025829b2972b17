"""An event on one line: for a person, or for a program."""

from collections.abc import Mapping
from typing import Any

from relay.cli.output import show_row
from relay.vendors.kit.fields import mapping, sequence

_LONGEST_EXCERPT = 100


def show_event(routing_key: str, document: Mapping[str, Any]) -> None:
    """Print what tells a person most of an event.

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
    """Return the words of an event that tell a person most, or "" when there are none."""
    message, note = mapping(data.get("message")), mapping(data.get("note"))
    to = mapping(mapping(data.get("assignment")).get("to"))
    urls = [mapping(it).get("url") for it in sequence(message.get("attachments"))]
    candidates = [message.get("text"), note.get("text"), *urls, data.get("status"), _name(to)]
    text = str(next(filter(None, candidates), ""))
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 1] + "…"


def on_one_line(body: bytes) -> bytes:
    """Return JSON without line breaks, which are only ever white space in it, like a blank."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")


def _name(actor: Mapping[str, Any]) -> str:
    names = (actor.get("type"), actor.get("name") or actor.get("email") or actor.get("id"))
    return " ".join(str(name) for name in names if name)
