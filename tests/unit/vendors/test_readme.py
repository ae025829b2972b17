"""What relay/vendors/README.md shows has to work: the example vendor meets the contract."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay import vendors
from relay.cli import main
from relay.vendors import Vendor
from relay.vendors.kit.request import Request
from tests.support.rows import for_each
from tests.unit.test_samples import (
    check_the_sample_gives_what_is_expected,
    check_what_the_vendor_signs_is_let_in,
)

TEXT = Path("relay/vendors/README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^    \.venv/bin/python -m (\w+) (\S.*?)  +#", TEXT, re.MULTILINE)


def block(language: str, containing: str) -> str:
    [found] = [text for kind, text in BLOCKS if kind == language and containing in text]
    return found


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """Return the example vendor, installed as another package would install it."""
    info = tmp_path / "example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[relay.vendors]\nexample = example_vendor\n")
    (tmp_path / "example_vendor.py").write_text(block("python", "def normalize"))
    monkeypatch.syspath_prepend(tmp_path)
    vendors.find.cache_clear()
    vendors.discover.cache_clear()
    yield vendors.discover()["example"]
    vendors.find.cache_clear()
    vendors.discover.cache_clear()
    sys.modules.pop("example_vendor", None)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Return the payload shown, with what it becomes beside it."""
    path = tmp_path / "01-message.json"
    path.write_text(block("json", '"kind": "message", "at"'))
    path.with_name("01-message.expected.json").write_text(block("json", '"events"'))
    return path


def test_the_example_vendor_meets_the_contract_of_vendors(example: Vendor, sample: Path) -> None:
    check_the_sample_gives_what_is_expected("example", example, sample)
    check_what_the_vendor_signs_is_let_in(example, sample.read_bytes())
    assert example.normalize(Request(body=b"\xef\xbb\xbf \r\n")) == []


def test_another_kind_of_the_example_vendor_is_unrecognized(example: Vendor) -> None:
    (event,) = example.normalize(Request(body=b'{"kind": "typing", "chat": "7"}'))

    assert (event.type, event.detail, event.time) == ("unrecognized", "typing", None)
    assert event.data == {"conversation": {"id": "7"}, "actor": {"type": "agent"}}


@pytest.mark.usefixtures("example")
def test_the_example_vendor_can_be_tried_by_hand(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sample.with_name("relay.toml")
    config.write_text('[outbox]\ndirectory = "outbox"\n' + block("toml", "[sources.example]"))
    monkeypatch.setenv("RELAY_CONFIG", str(config))
    [words] = [line.split() for module, line in COMMANDS if line.startswith("inspect")]

    result = CliRunner().invoke(main, [*words[:-1], str(sample), "--json"])

    assert result.exit_code == 0
    [event] = json.loads(result.stdout)["events"]
    assert event["routing_key"] == "example.message.created.text"


def test_the_commands_shown_are_commands() -> None:
    assert [module for module, _ in COMMANDS] == ["pytest", "relay", "relay"]
    for module, line in COMMANDS:
        if module == "relay":
            assert CliRunner().invoke(main, [*line.split(), "--help"]).exit_code == 0
        else:
            assert Path(line).is_file()


@for_each(name=vendors.discover())
def test_every_vendor_is_in_the_table_of_what_to_enter(name: str) -> None:
    row = re.search(rf"^\| [^|]*`{name}`[^|]*\|([^|]*)\|", TEXT, re.MULTILINE)

    assert row
    path = vendors.setup_of(name).path.replace("{secret}", "SECRET")
    assert f"`https://HOST/in/SOURCE{path}`" in row[1]  # as `relay init` says it
