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
        *("channeltalk", "chatwoot", "crisp", "livechat", "supporthunt", "swiftsell"),
    }
    assert takers("channeltalk.message.created.text") == BINDINGS[:4]
    assert takers("acquire.message.updated") == [BINDINGS[0], BINDINGS[2], BINDINGS[4]]


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
