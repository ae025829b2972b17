"""What staff write for each other never reaches those who bind to what customers see.

That is `*.message.#`. A sample is internal if a part of it says so: a note, a private option, a
chat among staff. Whichever vendor's it is, it is found here by itself.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import vendors
from relay.cli.replay.topic_pattern import matcher
from relay.events.envelope import encode_events
from relay.events.event import NormalizedEvent
from relay.events.message import Origin
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row
from tests.unit.vendors.test_channeltalk_messages import pushed
from tests.unit.vendors.test_vendor_properties import values

BINDINGS = ["*.message.#", "*.message.created.*", "#.message.#", "*.message.*.text", "*.message.*"]
VENDORS = vendors.discover()
PRIVATE = [["private"], ["silent", "private"], ["private", "actAsManager", "immutable"]]
TEAM_CHATS = ["group", "directChat"]


def is_internal(part: Any) -> bool:
    """Return whether a part of a payload says that customers do not see it."""
    if isinstance(part, list):
        return any(map(is_internal, part))
    if not isinstance(part, dict):
        return False
    says = (
        part.get("type") == "note",
        part.get("chatType") in TEAM_CHATS,
        part.get("private") is True,
        "agents" in (part.get("visibility"), part.get("recipients")),
        part.get("part_type") == "note",
        part.get("is_public") is False,
        part.get("stealth") is True,
        isinstance(part.get("options"), list) and "private" in part["options"],
    )
    return any(says) or any(map(is_internal, part.values()))


def internal_samples() -> Iterator[tuple[str, str, bytes]]:
    for name in VENDORS:
        for sample in vendors.samples(name):
            body = sample.read_bytes()
            if sample.name.endswith(".json") and is_internal(json.loads(body)):
                yield name, sample.name, body


INTERNAL = list(internal_samples())


def keys_of(vendor: str, *events: NormalizedEvent) -> list[str]:
    messages = encode_events(
        events, origin=Origin(vendor=vendor, source="acme"), received_at=1.5, delivery_id="d1"
    )
    return [message.routing_key for message in messages]


def takers(routing_key: str) -> list[str]:
    """Return the bindings that a topic exchange would send it to."""
    return [binding for binding in BINDINGS if matcher(binding)(routing_key)]


@pytest.mark.parametrize(
    ("vendor", "body"),
    [pytest.param(vendor, body, id=f"{vendor}-{sample}") for vendor, sample, body in INTERNAL],
)
def test_no_internal_sample_reaches_those_who_want_what_customers_see(
    vendor: str, body: bytes
) -> None:
    keys = keys_of(vendor, *VENDORS[vendor].normalize(Request(body=body)))

    assert keys
    assert [takers(key) for key in keys] == [[] for _ in keys]


def test_there_are_internal_samples_and_the_bindings_take_messages() -> None:
    assert {vendor for vendor, _, _ in INTERNAL} >= {
        *("channeltalk", "chatwoot", "crisp", "intercom", "livechat", "supporthunt"),
        *("swiftsell", "zendesk"),
    }
    assert takers("channeltalk.message.created.text") == BINDINGS[:4]
    assert takers("acquire.message.updated") == [BINDINGS[0], BINDINGS[2], BINDINGS[4]]


# How each vendor says that a message is internal: members that are put into the object which has
# the one named first, or which is called so if a slash is before the name.
MARKS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "acquire": ("event", [{"type": "note"}, {"type": "Note"}]),
    "channeltalk": (
        "personType",
        [
            *({"options": options} for options in [*PRIVATE, "private", ["Private"]]),
            *({"chatType": chat_type} for chat_type in TEAM_CHATS),
            {"chatType": None, "chatKey": "group-7"},
        ],
    ),
    "chatwoot": ("message_type", [{"private": True}, {"private": "true"}, {"private": 1}]),
    "crisp": ("fingerprint", [{"type": "note"}, {"stealth": True}, {"stealth": 1}]),
    "intercom": ("part_type", [{"part_type": "note"}, {"part_type": "Note"}]),
    "livechat": (
        "author_id",
        [{"visibility": "agents"}, {"recipients": "agents"}, {"visibility": ["agents"]}],
    ),
    "supporthunt": ("/message", [{"type": "note"}, {"type": "NOTE"}]),
    "swiftsell": ("/message", [{"type": "note"}, {"type": "Note"}]),
    "zendesk": ("is_public", [{"is_public": False}, {"is_public": None}, {"is_public": "true"}]),
}
ALL_SEEN_BY_CUSTOMERS = {"line", "meta", "pickyassist", "telegram"}


def marked(part: Any, place: str, mark: dict[str, Any], called: str = "") -> Any:
    """Return a part of a payload, of this name, in which each object at such a place has a mark."""
    if isinstance(part, list):
        return [marked(each, place, mark) for each in part]
    if not isinstance(part, dict):
        return part
    changed = {name: marked(value, place, mark, name) for name, value in part.items()}
    return changed | mark if place in part or place == f"/{called}" else changed


def marked_samples() -> Iterator[tuple[str, Any]]:
    """Yield each sample that is a message, marked in each way its vendor knows."""
    for name, (place, marks) in MARKS.items():
        for sample in vendors.samples(name):
            if not sample.name.endswith(".json"):
                continue
            payload = json.loads(sample.read_bytes())
            if not any(map(takers, keys_of(name, *events_of(name, payload)))):
                continue
            for mark in marks:
                changed = marked(payload, place, mark)
                if changed != payload:
                    yield name, changed


def events_of(vendor: str, payload: Any) -> list[NormalizedEvent]:
    return VENDORS[vendor].normalize(Request(body=json.dumps(payload).encode()))


MARKED = list(marked_samples())


@for_each_row(("vendor", "payload"), MARKED)
def test_no_message_does_once_it_is_marked_as_internal(vendor: str, payload: Any) -> None:
    keys = keys_of(vendor, *events_of(vendor, payload))

    assert keys
    assert [takers(key) for key in keys] == [[] for _ in keys]


def test_each_vendor_marks_messages_or_has_none_that_are_internal() -> None:
    assert {vendor for vendor, _ in MARKED} == set(MARKS)
    assert set(MARKS) == set(VENDORS) - ALL_SEEN_BY_CUSTOMERS


@given(
    verb=st.sampled_from(["push", "create", "update", "upserted", "Push", "delete", "other"]),
    model=st.sampled_from(["message", "Message", None]),
    mark=st.sampled_from(
        [
            *({"options": options} for options in PRIVATE),
            *({"chatType": chat_type} for chat_type in TEAM_CHATS),
            {"options": PRIVATE[0], "chatType": "userChat"},
            {"options": PRIVATE[1], "chatType": "group"},
        ]
    ),
    content=st.fixed_dictionaries(
        {"chatType": st.just("userChat"), "personType": st.sampled_from(["manager", "bot", "x"])},
        optional={
            "plainText": st.just("psst") | values,
            "blocks": st.just([{"type": "text", "value": "<b>psst</b>"}]) | values,
            "files": st.just([{"id": "f"}]) | values,
            "log": st.sampled_from([{"action": "close"}, {"action": "new"}]) | values,
            "form": values,
            "meet": values,
        },
    ),
)
def test_nothing_internal_of_channel_talk_does_whatever_it_holds(
    verb: str, model: str | None, mark: dict[str, Any], content: dict[str, Any]
) -> None:
    event = pushed(content | mark, model=model, verb=verb)

    (key,) = keys_of("channeltalk", event)
    assert takers(key) == []
