"""Events as a consumer reads them, held against the JSON Schema of their type."""

from collections.abc import Iterator
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from relay import vendors
from relay.errors import Malformed
from relay.events import schemas
from relay.events.envelope import encode_events
from relay.events.event import TYPES
from relay.events.message import Message, Origin
from relay.vendors.kit.request import Request

VENDORS = vendors.discover()
VALIDATORS = {
    name: Draft202012Validator(
        schemas.schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for name in TYPES
}


def messages(name: str, body: bytes) -> list[Message]:
    try:
        events = VENDORS[name].normalize(Request(body=body))
        return encode_events(
            events, origin=Origin(vendor=name, source="acme"), received_at=1.5, delivery_id="d1"
        )
    except Malformed:
        return []


def documents(name: str, body: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(message.body) for message in messages(name, body)]


def undocumented(document: dict[str, Any]) -> Iterator[str]:
    """Yield the members of an event's data that its schema does not name."""
    schema = schemas.schema(document["type"])
    own = schema["properties"].get("data", {}).get("properties", {})
    common = schema["$defs"]["data"]["properties"]
    yield from document["data"].keys() - own.keys() - common.keys()


def check_is_as_its_schema_says(name: str, document: dict[str, Any]) -> None:
    """Check an event of a vendor: all its members are in its schema, which its vendor may send."""
    VALIDATORS[document["type"]].validate(document)
    assert list(undocumented(document)) == []
    assert document["type"] in vendors.types(VENDORS[name])
