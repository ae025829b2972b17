"""A field of the wrong type, or one that nobody knows, costs no event of whichever sample."""

import json
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from typing import Any

from relay import vendors
from relay.errors import Malformed
from relay.events.envelope import encode_events
from relay.events.event import NormalizedEvent
from relay.events.message import Origin
from relay.vendors.kit.request import Request
from tests.support.rows import for_each
from tests.unit.vendors.test_vendor_properties import check_data, is_json

VENDORS = vendors.discover()
ODD = [None, "", [], {}, 0, -1, True, 1.5, 10**30, "\x00", [[]], {"": None}, [None, 1, "x", {}]]
ODD_TEXTS = [json.dumps(odd) for odd in ODD]
# Without these, nothing says what the delivery is. Of a vendor that is not here, any may be such.
TELLING = {
    "acquire": ["/event"],
    "channeltalk": ["/type", "/event", "/entity"],
    "chatwoot": ["/event"],
    "crisp": ["/event"],
    "livechat": ["/action"],
    "pickyassist": ["/event_id"],
    "supporthunt": ["/events", "/events/0", "/events/0/event", "/events/0/event/type"],
    "swiftsell": ["/events", "/events/0", "/events/0/event", "/events/0/event/type"],
    "telegram": [
        *("/message", "/edited_message", "/channel_post", "/business_message", "/callback_query"),
        *("/message_reaction", "/my_chat_member", "/chat_member", "/inline_query", "/poll_answer"),
    ],
}


def places(document: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the pointer of each value in a document, with its container and its key there."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(members):
        yield f"{path}/{key}", document, key
        if isinstance(value, dict | list):
            yield from places(value, f"{path}/{key}")


SAMPLES = [
    (name, sample)
    for name in VENDORS
    for sample in vendors.samples(name)
    if is_json(sample.read_bytes())
]


def understood(name: str, text: str) -> Sequence[NormalizedEvent] | Malformed:
    try:
        return VENDORS[name].normalize(Request(body=text.encode()))
    except Malformed as error:
        return error


def check(name: str, events: Sequence[NormalizedEvent]) -> None:
    """Check that each is a whole event, and that nothing in its data is empty."""
    origin = Origin(vendor=name, source="acme")
    assert encode_events(events, origin=origin, received_at=1.5, delivery_id="d1")
    for event in events:
        for field, value in event.data.items():
            check_data(value, field)


@for_each(sample=SAMPLES)
def test_a_field_of_the_wrong_type_is_left_out(sample: tuple[str, Traversable]) -> None:
    name, file = sample
    document, telling = json.loads(file.read_bytes()), TELLING.get(name)
    for path, container, key in places(document):
        right, container[key] = container[key], "PLACE"
        before, after = json.dumps(document).split('"PLACE"')
        container[key] = right
        for odd in ODD_TEXTS:
            found = understood(name, f"{before}{odd}{after}")
            if telling is None or path in telling:
                assert not isinstance(found, Malformed) or found.reason == "unknown_shape"
            else:
                assert not isinstance(found, Malformed), f"{path} as {odd}"
                check(name, found)


def names_of_lists(node: Any) -> Iterator[str]:
    for _, container, key in places(node):
        if isinstance(key, str) and isinstance(container[key], list):
            yield key


def extended(node: Any, more: Any, *, is_first: bool) -> Any:
    """Return a JSON value each of whose objects has one more member."""
    if isinstance(node, list):
        return [extended(item, more, is_first=is_first) for item in node]
    if not isinstance(node, dict):
        return node
    members = {name: extended(value, more, is_first=is_first) for name, value in node.items()}
    return {"zz": more} | members if is_first else members | {"zz": more}


@for_each(name=VENDORS, is_first=[True, False], is_listed=[True, False])
def test_lists_of_known_names_in_an_unknown_member_hide_no_event(
    name: str, *, is_first: bool, is_listed: bool
) -> None:
    documents = [json.loads(file.read_bytes()) for vendor, file in SAMPLES if vendor == name]
    lists = {key: [None, {}, "x", [[]]] for key in names_of_lists(documents)}
    more = [lists] if is_listed else lists

    for document in documents:
        expected = understood(name, json.dumps(document))
        found = understood(name, json.dumps(extended(document, more, is_first=is_first)))
        assert not isinstance(expected, Malformed)
        assert not isinstance(found, Malformed), found.reason
        assert [event.type for event in found] == [event.type for event in expected]
