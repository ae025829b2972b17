"""What of an event a person reads on its line."""

from typing import Any

from relay.cli.event_format import excerpt
from tests.support.rows import for_each_row

TO = {"to": {"type": "team", "id": "13"}}
CHAT = {"status": "opened", "assignment": TO}


@for_each_row(
    ("event_type", "data", "text"),
    [
        ("message.created", {"message": {"text": "hi"}, **CHAT}, "hi"),
        ("note.created", {"note": {"text": "psst"}, "message": {"kind": "text"}, **CHAT}, "psst"),
        ("message.created", {"message": {"attachments": [{"url": "u"}]}, **CHAT}, "u"),
        ("message.created", {"message": {"attachments": [{"key": "k", "id": "f"}]}, **CHAT}, "k"),
        ("note.created", {"message": {"attachments": [{"id": 7, "file_name": "a.png"}]}}, "a.png"),
        ("message.created", {"message": {"variables": [{"value": "sendXms"}]}, **CHAT}, "sendXms"),
        ("labels.added", {"labels": [{"name": "vip"}, {"id": "5"}], **CHAT}, "vip, 5"),
        ("conversation.left", {"member": {"type": "agent", "name": "Bo"}, **CHAT}, "agent Bo"),
        ("conversation.assigned", CHAT, "team 13"),
        ("conversation.assigned", {"status": "opened"}, "opened"),
        ("conversation.closed", CHAT, "opened"),
        ("conversation.created", {"assignment": TO}, "team 13"),
        ("message.created", {"message": {"text": "x" * 101}}, "x" * 99 + "…"),
        ("message.created", {"message": {"attachments": [None, "f"], "variables": [{}]}}, ""),
        ("unrecognized", {}, ""),
    ],
)
def test_an_excerpt_is_what_tells_most(event_type: str, data: dict[str, Any], text: str) -> None:
    assert excerpt(data, event_type) == text
