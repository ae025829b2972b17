"""Whatever arrives, `normalize` refuses it or understands it as well-formed events."""

import codecs
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import vendors
from relay.errors import Malformed
from relay.events.envelope import encode_events
from relay.events.event import TYPES, NormalizedEvent
from relay.events.message import Message, Origin
from relay.vendors.kit.request import Request
from tests.unit.events.documents import check_is_as_its_schema_says, documents

VENDORS = vendors.discover()
SAMPLES = {name: [sample.read_bytes() for sample in vendors.samples(name)] for name in VENDORS}
# What no documented payload shows: a message of Acquire's that has an id.
WITH_IDS = {
    "acquire": [
        b'{"event":"case:message:new","data":{"caseId":"72","message":{"id":"323","message":"ok"}}}',
        b'{"event":"case:message:new","data":{"caseId":"72","id":323,"message":"ok","seen":"yes"}}',
        b'{"event":"case:message:new","data":{"caseId":"72","id":324,"message":"no","type":"note"}}',
    ]
}
OF_PARTS = {"line", "livechat", "meta", "zendesk"}
"""Vendors whose deliveries hold several events, each of which is a part of the whole."""
TWOFOLD = {"intercom"}  # a delivery may be two events, each of which is all of it
ORIGIN = Origin(vendor="some_vendor", source="acme")

every_vendor = pytest.mark.parametrize("name", VENDORS)

# JSON as no vendor sends it. What orjson refuses is kept apart, or little would be understood.

names = st.sampled_from(
    ["", "id", "token", "event", "events", "type", "name", "variables", "data", "value", "¿··?"]
)
texts = st.text(max_size=20) | st.sampled_from(["", " ", "\x00", "¿·a·?", "a.b", "x" * 10_000])
numbers = st.integers(-(2**70), 2**70) | st.sampled_from([-0.0, 5e-324, 1e300, 10**300])
refused = st.sampled_from([math.nan, math.inf, 10**400, "\ud83d", "\ude00\ud83d"])


def nestings(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)

    return st.recursive(scalars, grow, max_leaves=8)


values = nestings(st.none() | st.booleans() | numbers | texts)
odd_values = nestings(refused | texts)


@st.composite
def written(draw: st.DrawFn, document: Any) -> bytes:
    """Write a document in one of the styles of the world's JSON libraries."""
    text = json.dumps(
        document,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t:")])),
    )
    if draw(st.integers(0, 2)) == 0:
        # A quote within a string is escaped, so this is where an object begins, never its text.
        places = [match.end() for match in re.finditer(r"\{(?=\")", text)] or [0]
        place = draw(st.sampled_from(places))
        member = draw(st.sampled_from(['"events":[],', '"id":12345678901234567890123,"id":1.10,']))
        text = text[:place] + member + text[place:]
    prefix = draw(st.sampled_from([b"", b"", b" \n", codecs.BOM_UTF8]))
    return prefix + text.encode(errors="surrogatepass")


@st.composite
def altered(draw: st.DrawFn, sample: bytes) -> Any:
    """Put odd values, new members and repetitions somewhere into a sample."""
    document = json.loads(sample)
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            is_deeper = isinstance(place[key], dict | list) and place[key]
            if not is_deeper or draw(st.integers(0, 7)) == 0:
                break
            place = place[key]
        if isinstance(place, list):
            place.extend([place[key]] * draw(st.integers(0, 2)))
        else:
            place[draw(names)] = draw(values)
        if not is_deeper:
            place[key] = draw(values)
    return document


@st.composite
def damaged(draw: st.DrawFn, sample: bytes) -> bytes:
    """Overwrite, insert and cut a few bytes of a sample."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(sample)))
        end = start + draw(st.integers(0, 3))
        sample = sample[:start] + draw(st.binary(max_size=3)) + sample[end:]
    return sample


def nested(depth: int) -> bytes:
    return b'{"events":[' + b'{"event":' * depth + b"{}" + b"}" * depth + b"]}"


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@cache
def bodies(name: str) -> st.SearchStrategy[bytes]:
    samples = SAMPLES[name]
    plausible = st.sampled_from(list(filter(is_json, samples))).flatmap(altered).flatmap(written)
    return st.one_of(
        plausible,
        plausible,
        plausible,
        st.sampled_from(samples).flatmap(damaged),
        (values | odd_values).flatmap(written),
        st.lists(values, max_size=3).flatmap(lambda events: written({"events": events})),
        st.integers(0, 3_000).map(nested),
        st.binary(max_size=200),
    )


@cache
def with_identities(name: str) -> list[bytes]:
    """Return the vendor's samples that are JSON; some have events with an identity of their own."""
    return list(filter(is_json, SAMPLES[name] + WITH_IDS.get(name, [])))


def normalized(name: str, body: bytes) -> list[NormalizedEvent]:
    """Return the events of a delivery that is understood as it was sent, as a whole."""
    try:
        found = VENDORS[name].normalize(Request(body=body))
    except Malformed as error:
        assert re.fullmatch("[a-z_]+", error.reason)  # noqa: PT017  both outcomes are right
        return []
    events = [event for event in found if isinstance(event, NormalizedEvent)]
    is_whole = len(events) == len(found) and not any(event.is_repaired for event in events)
    return events if is_whole else []


def messages_of(
    events: list[NormalizedEvent], origin: Origin = ORIGIN, delivery_id: str = "d1"
) -> list[Message]:
    return encode_events(
        events, origin=origin, received_at=1_700_000_000.25, delivery_id=delivery_id
    )


def parts(node: Any) -> Iterator[Any]:
    """Yield all values within one that was read exactly, and that itself."""
    yield node
    if isinstance(node, tuple) and node and isinstance(node[0], tuple):
        node = [value for _, value in node]
    if isinstance(node, list):
        for value in node:
            yield from parts(value)


def elements(
    name: str, body: bytes, exactly: Callable[[bytes], Any], found: list[Any]
) -> list[Any]:
    """Return the elements a delivery consists of, as `raw` has to say them."""
    document = exactly(body.removeprefix(codecs.BOM_UTF8).strip())
    if name == "livechat" and isinstance(document, tuple):  # the secret is in no `raw`
        document = tuple(member for member in document if member[0] != "secret_key")
    if name in OF_PARTS:
        within = list(parts(document))
        return [part for part in found if part in within]
    if name in TWOFOLD:
        return [document] * len(found)
    if not vendors.echoes(VENDORS[name]):
        return [document]
    sent = dict(document)["events"]
    return [tuple(member for member in event if member[0] != "token") for event in sent]


def check_raw_says_exactly_what_was_sent(
    name: str, body: bytes, events: list[NormalizedEvent], exactly: Callable[[bytes], Any]
) -> None:
    if events:
        found = [exactly(event.raw) for event in events]
        assert found == elements(name, body, exactly, found)
    for event, message in zip(events, messages_of(events), strict=True):
        document = dict(exactly(message.body))
        assert dict(document["data"])["raw"] == exactly(event.raw)


def check_data(node: Any, name: str = "") -> None:
    if name == "value":
        return  # a variable's value is the vendor's own, whatever it is
    assert node or isinstance(node, int | float)  # no null and nothing empty; 0 and false may be
    if name in {"id", "bot_id"}:
        assert type(node) is str
    if name in {"actor", "member", "from", "to"}:
        assert node["type"] in {"agent", "bot", "contact", "system", "team"}
    if isinstance(node, dict):
        for key, value in node.items():
            check_data(value, key)
    if isinstance(node, list):
        for item in node:
            check_data(item)


def check_data_has_no_empty_places_and_its_ids_are_strings(events: list[NormalizedEvent]) -> None:
    for event in events:
        assert event.type in TYPES
        assert "raw" not in event.data
        for key, value in event.data.items():
            check_data(value, key)


def check_every_message_is_a_cloudevent_under_a_valid_routing_key(
    events: list[NormalizedEvent],
) -> None:
    for message in messages_of(events):
        assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", message.routing_key)
        assert len(message.routing_key) <= 255
        document = json.loads(message.body)
        orjson.loads(message.body)  # refuses more than the standard library does
        assert {"specversion", "id", "source", "type"} <= document.keys()
        assert re.fullmatch("[0-9a-f]{32}", message.id)
        assert document["id"] == message.id
        if "time" in document:
            assert document["time"].endswith("Z")
            datetime.fromisoformat(document["time"])
        del document["data"]
        for attribute, value in document.items():
            assert re.fullmatch("[a-z0-9]{1,20}", attribute)
            assert value.isprintable()


def ids_of(events: list[NormalizedEvent], **where: Any) -> list[str]:
    return [message.id for message in messages_of(events, **where)]


def check_ids_are_the_same_when_processed_again_and_others_at_another_source(
    name: str, body: bytes, events: list[NormalizedEvent]
) -> None:
    first, again = ids_of(events), ids_of(normalized(name, body))
    elsewhere = ids_of(normalized(name, body), origin=Origin(vendor="some_vendor", source="acme2"))

    # Two with one identity are one occurrence: the vendor says so.
    identities = [event.identity for event in events if isinstance(event.identity, tuple)]
    assert len(set(first)) == len(first) - len(identities) + len(set(identities))
    assert again == first
    assert not set(elsewhere) & set(first)


def check_a_resend_has_the_same_ids_but_for_events_that_nothing_tells_apart(
    events: list[NormalizedEvent],
) -> None:
    sent, resent = (ids_of(events, delivery_id=delivery_id) for delivery_id in ("d1", "d2"))

    for event, first, again in zip(events, sent, resent, strict=True):
        assert (first == again) == (event.identity != "delivery")


@st.composite
def written_otherwise(draw: st.DrawFn, body: bytes) -> bytes:
    """Write JSON in another style and order, with members more that nobody knows.

    The order is of one generator of random numbers: to draw that of each object takes longer.
    """
    order = draw(st.randoms(use_true_random=True))
    more = draw(st.lists(values, min_size=1, max_size=3))

    def rewrite(node: Any) -> Any:
        if isinstance(node, list):
            return [rewrite(item) for item in node]
        if not isinstance(node, dict):
            return node
        names = order.sample(list(node), len(node))
        extra = order.sample(["zz", "seen", "refers"], order.randrange(3))
        return {name: order.choice(more) for name in extra} | {
            name: rewrite(node[name]) for name in names
        }

    text = json.dumps(rewrite(json.loads(body)), ensure_ascii=draw(st.booleans()), indent=1)
    return text.encode()


def check_an_identity_of_its_own_gives_one_id_whatever_surrounds_it(
    name: str, strangers: list[NormalizedEvent], sample: bytes, same: bytes
) -> None:
    own, again = (
        [event for event in normalized(name, text) if isinstance(event.identity, tuple)]
        for text in (sample, same)
    )

    found = ids_of([*strangers, *own, *again], delivery_id="d2")

    assert found[len(strangers) :] == ids_of(own) * 2


# All of them with the same bodies: to make one up takes longer than to check it.
@every_vendor
@given(data=st.data())
def test_whatever_arrives_is_refused_or_understood_as_well_formed_events(
    name: str, data: st.DataObject, exactly: Callable[[bytes], Any]
) -> None:
    body, sample = data.draw(bodies(name)), data.draw(st.sampled_from(with_identities(name)))
    same = data.draw(written_otherwise(sample))

    events = normalized(name, body)

    check_raw_says_exactly_what_was_sent(name, body, events, exactly)
    check_data_has_no_empty_places_and_its_ids_are_strings(events)
    check_every_message_is_a_cloudevent_under_a_valid_routing_key(events)
    check_ids_are_the_same_when_processed_again_and_others_at_another_source(name, body, events)
    check_a_resend_has_the_same_ids_but_for_events_that_nothing_tells_apart(events)
    check_an_identity_of_its_own_gives_one_id_whatever_surrounds_it(name, events, sample, same)
    for document in documents(name, body):
        check_is_as_its_schema_says(name, document)


def test_the_samples_cover_all_kinds_of_identity() -> None:
    kinds = {
        name: {
            "own" if isinstance(event.identity, tuple) else event.identity
            for body in with_identities(name)
            for event in normalized(name, body)
        }
        for name in SAMPLES
    }

    assert kinds == {
        **{key: {"own"} for key in ("channeltalk", "intercom", "line", "telegram", "zendesk")},
        **{key: {"element"} for key in ("supporthunt", "swiftsell")},
        **{key: {"delivery", "own"} for key in ("acquire", "livechat")},
        **{key: {"element", "delivery", "own"} for key in ("chatwoot", "meta", "pickyassist")},
        "crisp": {"element", "own"},
    }
