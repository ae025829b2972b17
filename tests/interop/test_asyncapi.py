"""`relay asyncapi` against the JSON Schema that AsyncAPI publishes."""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from relay import vendors
from relay.process.libraries import DISTRIBUTION
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import SECRET

PASSWORD = "hush-hush"


@pytest.fixture
async def document(tmp_path: Path) -> dict[str, Any]:
    """Of a relay with one source per vendor, and a second one of Swiftsell's."""
    config = tmp_path / "relay.toml"
    lines = ["[broker]", f'urls = ["amqp://relay:{PASSWORD}@a/", "amqps://b:5673/chat"]']
    for name in (*vendors.discover(), "second"):
        vendor = "swiftsell" if name == "second" else name
        lines += [f"[sources.{name}]", f'vendor = "{vendor}"', f'secrets = ["{SECRET}"]']
    config.write_text("\n".join(lines))
    result = await RelayCommand(config)("asyncapi")
    assert (result.code, result.err) == (0, "")
    assert PASSWORD not in result.out
    assert SECRET not in result.out
    return json.loads(result.out)


def references(part: Any) -> set[str]:
    match part:
        case {"$ref": str(name)}:
            return {name}
        case dict():
            return set().union(*map(references, part.values()))
        case list():
            return set().union(*map(references, part))
        case _:
            return set()


def test_the_document_is_as_asyncapi_3_wants_it(
    document: dict[str, Any], node_modules: Path
) -> None:
    schema = json.loads((node_modules / "@asyncapi/specs/schemas/3.0.0.json").read_text())

    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(schema).iter_errors(document)
    ]

    assert problems == []


def test_a_document_that_is_wrong_is_noticed(document: dict[str, Any], node_modules: Path) -> None:
    schema = json.loads((node_modules / "@asyncapi/specs/schemas/3.0.0.json").read_text())
    del document["info"]["version"]

    assert not Draft7Validator(schema).is_valid(document)


def test_everything_it_refers_to_is_in_it(document: dict[str, Any]) -> None:
    found = references(document)

    assert found
    for name in found:
        part = document
        for step in name.removeprefix("#/").split("/"):
            part = part[step]


def test_each_vendor_has_a_channel_for_each_type_it_sends(document: dict[str, Any]) -> None:
    channels = document["channels"]

    assert set(channels) == {"quarantine"} | {
        f"{name}.{event_type}"
        for name, vendor in vendors.discover().items()
        for event_type in vendors.types(vendor)
    }
    message = channels["swiftsell.message.created"]
    assert message["address"] == "swiftsell.message.created.{detail}"
    assert message["description"] == "From second, swiftsell."
    assert message["bindings"]["amqp"]["exchange"]["name"] == "webhooks"
    assert set(re.findall(r"{(\w+)}", message["address"])) == set(message["parameters"])
    assert channels["quarantine"]["bindings"]["amqp"]["exchange"]["name"] == "webhooks.quarantine"


def test_it_says_where_the_broker_is_and_which_relay_it_is_about(document: dict[str, Any]) -> None:
    servers = [
        (server["protocol"], server["host"], server["pathname"])
        for server in document["servers"].values()
    ]

    assert servers == [("amqp", "a:5672", "/"), ("amqps", "b:5673", "/chat")]
    assert document["info"]["version"] == metadata.version(DISTRIBUTION)
