"""Deliveries cut into their elements, of which some may be no JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS
from relay.vendors.kit.batches import array_begin, read_batch, split_arrays, split_batch
from tests.support.rows import for_each_row

EVENTS = array_begin("events")
BOTH = array_begin("changes", "messaging")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('a"\\[]{},: \n'), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@for_each_row(
    ("body", "rest", "elements"),
    [
        (b'{"events":[]}', b'{"events":[]}', []),
        (b'{"events": [ ] }', b'{"events": [ ] }', []),
        (b'{"events":[1]}', b'{"events":[0]}', [b"1"]),
        (
            b'{"a":1,"events" :\n[ {"b":[1,2]} , "x,]" ],"z":[3]}',
            b'{"a":1,"events" :\n[0,0],"z":[3]}',
            [b'{"b":[1,2]}', b'"x,]"'],
        ),
        (b'{"events":[NaN,{"a":\'x\'},{"b":1,}]}', b'{"events":[0,0,0]}',
         [b"NaN", b"{\"a\":'x'}", b'{"b":1,}']),
        (b'{"events":[{"events":[1,2]},3]}', b'{"events":[0,0]}', [b'{"events":[1,2]}', b"3"]),
        (b'{"events":[1],"b":{"events":[2,3]}}', b'{"events":[0],"b":{"events":[0,0]}}',
         [b"1", b"2", b"3"]),
        (b'{"event":[1]}', b'{"event":[1]}', []),
        (b'{"events":{"a":[1]}}', b'{"events":{"a":[1]}}', []),
        (b'{"a":"\\"events\\":[1]"}', b'{"a":"\\"events\\":[1]"}', []),
        (b'{"events":[{"a":1', b'{"events":[0', [b'{"a":1']),
        (b'{"events":[', b'{"events":[', []),
        (b'{"events":["a', b'{"events":["a', []),
        (b'{"events":[}]', b'{"events":[}]', []),
        (b'{"events":[1,]}', b'{"events":[0,]}', [b"1"]),
    ],
)  # fmt: skip
def test_elements_are_cut_out_as_they_were_sent(
    body: bytes, rest: bytes, elements: list[bytes]
) -> None:
    assert split_arrays(body, EVENTS) == (rest, elements)


def test_several_names_are_cut_in_the_order_of_their_elements() -> None:
    body = b'{"entry":[{"messaging":[1,2]},{"changes":[3],"other":[4]}]}'

    found = split_arrays(body, BOTH)

    assert found == (
        b'{"entry":[{"messaging":[0,0]},{"changes":[0],"other":[4]}]}',
        [b"1", b"2", b"3"],
    )


@given(st.lists(values, max_size=4), st.booleans())
def test_whatever_the_elements_are_none_is_lost_or_changed(
    wanted: list[object],
    is_spaced: bool,  # noqa: FBT001  of hypothesis
) -> None:
    separators = (" , ", " : ") if is_spaced else (",", ":")
    body = json.dumps({"a": "[", "events": wanted, "b": []}, separators=separators).encode()

    rest, elements = split_arrays(body, EVENTS)

    assert [json.loads(element) for element in elements] == wanted
    assert json.loads(rest) == {"a": "[", "events": [0] * len(wanted), "b": []}


@pytest.mark.parametrize("element", [b"1", b"{}", b'""'])
def test_more_elements_than_a_delivery_may_hold_are_not_cut(element: bytes) -> None:
    allowed = b'{"events":[' + b",".join([element] * MAX_EVENTS) + b"]}"

    assert len(split_arrays(allowed, EVENTS)[1]) == MAX_EVENTS
    assert len(split_batch(allowed, {"events"})[1]) == MAX_EVENTS
    one_more = allowed.replace(b"[", b"[1,")
    with pytest.raises(Malformed, match="too_many_events"):
        split_arrays(one_more, EVENTS)
    with pytest.raises(Malformed, match="too_many_events"):
        split_batch(one_more, {"events"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"v":{"a":[%b],"b":[%b]}}' % (b"1," * 6_000, b"{},[]," * 3_000),
        b'{"v":{"\\u0061":[%b1]}}' % (b"NaN," * MAX_EVENTS),
        b'{"v":{"a":[1]},"v":{"b":[1,%b]}}' % (b'"\n",' * MAX_EVENTS),
    ],
    ids=["in two arrays", "named with an escape", "in two objects"],
)
def test_the_elements_of_all_arrays_that_are_cut_are_counted_together(body: bytes) -> None:
    with pytest.raises(Malformed, match="too_many_events"):
        split_batch(body, {"v"}, {"a", "b"})

    assert len(split_batch(body, {"v"}, {"a", "b"}, limit=50_000)[1]) > MAX_EVENTS


@pytest.mark.parametrize(
    ("body", "rest", "elements"),
    [
        (b'{"v":{"a":[1,NaN]}}', b'{"v":{"a":[0,0]}}', [b"1", b"NaN"]),
        (b'{"a":[1],"v":{"z":{"a":[2]},"b":[3],"a":[4]}}',
         b'{"a":[1],"v":{"z":{"a":[2]},"b":[0],"a":[0]}}', [b"3", b"4"]),
        (b'{"v":[{"a":[1]}]}', b'{"v":[{"a":[1]}]}', []),
        (b'{"v":{}}', b'{"v":{}}', []),
        (b'{"w":{"a":[1]}}', b'{"w":{"a":[1]}}', []),
    ],
)  # fmt: skip
def test_arrays_within_a_member_are_cut_and_no_others(
    body: bytes, rest: bytes, elements: list[bytes]
) -> None:
    assert split_batch(body, {"v"}, {"a", "b"}) == (rest, elements)


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b'{"events":[{"x":1}]}', [b'{"x":1}']),
        (b'{"z":{"events":[1]},"events":[2,NaN]}', [b"2", b"NaN"]),
        (b'{"events":[2,{"events":[3]}],"z":[{"events":[1]}]}', [b"2", b'{"events":[3]}']),
        (b'{"\\u0065vents":[5]}', [b"5"]),
    ],
)
def test_a_batch_is_the_outermost_array_of_its_name(body: bytes, elements: list[bytes]) -> None:
    document, found = read_batch(body, "events")

    assert found == elements
    assert document["events"] == [0] * len(elements)


def test_a_batch_named_with_an_escape_may_hold_no_more_elements_either() -> None:
    with pytest.raises(Malformed, match="too_many_events"):
        read_batch(b'{"\\u0065vents":[' + b"1," * MAX_EVENTS + b"1]}", "events")
