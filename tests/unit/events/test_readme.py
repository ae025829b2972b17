"""What relay/events/README.md shows is what the relay writes."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from relay import vendors
from relay.cli import main
from relay.events.envelope import encode_events
from relay.events.event import TYPES
from relay.events.message import Origin
from relay.vendors.kit.request import Request

TEXT = Path("relay/events/README.md").read_text()
EXAMPLE = re.compile(r"```json\n(.*?)```", re.DOTALL)
LINES = re.findall(r"^    (\S.*)$", EXAMPLE.sub("", TEXT), re.MULTILINE)
VENDORS = vendors.discover()


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    return re.findall(r"^\| (`[^|]*) \|", section(title), re.MULTILINE)


def test_the_event_shown_is_that_of_a_documented_payload() -> None:
    [block] = EXAMPLE.findall(TEXT)
    shown = json.loads(block)
    sample = Path("relay/vendors/samples/swiftsell/02-message-text.json")

    [message] = encode_events(
        VENDORS["swiftsell"].normalize(Request(body=sample.read_bytes())),
        origin=Origin(vendor="swiftsell", source="acme-sales"),
        received_at=datetime(2026, 11, 20, 16, 0, 0, 123456, UTC).timestamp(),
        delivery_id="d1",
    )

    document = json.loads(message.body)
    del document["data"]["raw"], shown["data"]["raw"]
    assert shown == document


def test_the_table_of_types_has_them_all() -> None:
    listed = set()
    for cell in first_cells("Types"):
        names = re.findall("`([^`]+)`", cell)
        noun = names[0].partition(".")[0]  # `.closed` after `conversation.opened` is its closed
        listed |= {noun + name if name.startswith(".") else name for name in names}

    assert listed == TYPES


def test_the_table_of_reasons_has_them_all() -> None:
    sources = [path.read_text() for path in Path("relay").rglob("*.py")]
    raised = {reason for text in sources for reason in re.findall(r'Malformed\("(\w+)"\)', text)}

    listed = [cell.strip("`") for cell in first_cells("The quarantine")]

    assert set(listed) == raised | {"vendor_error"}


def test_the_routing_keys_shown_are_those_of_vendors() -> None:
    keys = [line for line in LINES if not line.startswith("relay ")]

    assert keys
    for key in keys:
        vendor, _, rest = key.partition(".")
        types = vendors.types(VENDORS[vendor])
        assert any(rest == name or rest.startswith(f"{name}.") for name in types), key


def test_the_commands_shown_are_commands() -> None:
    commands = [line.partition("#")[0].split()[1:] for line in LINES if line.startswith("relay ")]

    assert commands
    for words in commands:
        assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0, words
