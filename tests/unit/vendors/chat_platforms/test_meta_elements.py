"""How Meta's deliveries are cut: at once where they are as documented, else step by step."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS
from relay.vendors.parts.meta_elements import as_documented, elements_of, step_by_step
from tests.conftest import SAMPLES
from tests.support.rows import for_each

COMMENTS = "18-instagram-comment"
SAMPLE_PATHS = [
    path for path in sorted(SAMPLES.glob("meta/*.json")) if ".expected" not in path.suffixes
]
IN_LISTS = [
    path.stem for path in SAMPLE_PATHS if path.stem not in {"09-whatsapp-template", COMMENTS}
]

ELEMENT = st.sampled_from(
    [
        {"id": "1", "from": "2", "text": {"body": '[]"messages":[1]'}},
        {"messages": [{"id": "in a list of the same name"}]},
        {"messaging": [0]},
        {},
        0,
        "x",
        None,
        [0],
    ]
)
ELEMENTS = st.lists(ELEMENT, max_size=3) | st.sampled_from([None, 0, "x", {}, {"messages": [0]}])
VALUE = st.dictionaries(
    st.sampled_from(["messages", "statuses", "message_echoes", "contacts", "messaging", "other"]),
    ELEMENTS,
    max_size=3,
)
CHANGE = st.fixed_dictionaries(
    {
        "field": st.sampled_from(["messages", "smb_message_echoes", "comments", None]),
        "value": VALUE | st.sampled_from([None, []]),
    }
)
ENTRY = st.dictionaries(
    st.sampled_from(["messaging", "standby", "messages", "other"]), ELEMENTS, max_size=2
) | st.fixed_dictionaries({"id": st.just("7"), "changes": st.lists(CHANGE, max_size=2)})
DELIVERY = st.fixed_dictionaries(
    {"object": st.sampled_from(["page", None]), "entry": st.lists(ENTRY | ELEMENT, max_size=2)}
)
LISTED = st.lists(ELEMENT, min_size=1, max_size=3)
AS_DOCUMENTED = st.fixed_dictionaries(
    {
        "entry": st.lists(
            st.fixed_dictionaries({"messaging": LISTED}, optional={"standby": LISTED})
            | st.fixed_dictionaries(
                {
                    "changes": st.lists(
                        st.fixed_dictionaries(
                            {
                                "value": st.fixed_dictionaries(
                                    {"messages": LISTED}, optional={"statuses": ELEMENTS}
                                ),
                                "field": st.just("messages"),
                            }
                        ),
                        min_size=1,
                        max_size=2,
                    )
                }
            ),
            min_size=1,
            max_size=3,
        )
    }
)


@for_each(path=SAMPLE_PATHS)
def test_a_documented_delivery_is_cut_the_same_in_both_ways(path: Any) -> None:
    body = path.read_bytes()

    assert elements_of(body) == step_by_step(body)
    assert bool(as_documented(body)) is (path.stem in IN_LISTS)


@given(delivery=DELIVERY | AS_DOCUMENTED, indent=st.sampled_from([None, 1]))
def test_what_is_cut_at_once_is_cut_so_step_by_step(delivery: Any, indent: int | None) -> None:
    body = json.dumps(delivery, indent=indent).encode()

    if at_once := as_documented(body):
        assert at_once == step_by_step(body)


def entry(messages: bytes) -> bytes:
    return b'{"changes":[{"field":"messages","value":{"messages":[%b]}}]}' % messages


@for_each(
    body=[
        b"",
        b"[]",
        b"{}",
        b'{"entry":[]}',
        b'{"entry":{}}',
        b'{"entry":[0]}',
        b'{"entry":[NaN,%b]}' % entry(b"{}"),
        b'{"entry":[{"id":NaN,%b]}' % entry(b"{}")[1:],
        b'{"entry":[%b,{"id":"7"}]}' % entry(b"{}"),
        b'{"entry":[%b,{"messaging":[]}]}' % entry(b"{}"),
        b'{"entry":[%b],"entry":[]}' % entry(b"{}"),
        b'{"messages":[1],"entry":[%b]}' % entry(b"{}"),
        b'{"entry":[%b]' % entry(b"{}"),
        b'{"entry":[%b]}' % entry(b"{}").replace(b'"messages",', b'"comments",'),
        b'{"entry":[%b]}' % entry(b"1," * MAX_EVENTS + b"1"),
    ]
)
def test_any_other_is_not_cut_at_once(body: bytes) -> None:
    assert as_documented(body) == []


HALF = b"0," * (MAX_EVENTS // 2) + b"0"
CHANGE = b'{"field":"messages","value":{"messages":[%b]}}' % HALF


@pytest.mark.parametrize(
    "body",
    [
        b'{"entry":[%b]}' % entry(b"1," * MAX_EVENTS + b"1"),
        b'{"entry":[%b,%b]}' % (entry(HALF), entry(HALF)),
        b'{"entry":[{"changes":[%b,%b]}]}' % (CHANGE, CHANGE),
        b'{"entry":[{"messaging":[%b],"standby":[%b]}]}' % (HALF, HALF),
        b'{"entry":[{"\\u006dessaging":[%b,%b]}]}' % (HALF, HALF),
        b'{"entry":[{"x":{"messaging":[1]},"\\u006dessaging":[%b,%b]}]}' % (HALF, HALF),
        b'{"changes":[%b,%b]}' % (CHANGE, CHANGE),
        b'{"messaging":[%b,%b]}' % (HALF, HALF),
        b'{"field":"messages","value":{"messages":[%b],"statuses":[%b]}}' % (HALF, HALF),
        b'{"field":"messages","value":{"\\u006dessages":[%b,%b]}}' % (HALF, HALF),
    ],
    ids=range(10),
)
def test_more_events_than_allowed_are_refused_whatever_lists_they_are_in(body: bytes) -> None:
    with pytest.raises(Malformed, match="too_many_events"):
        elements_of(body)


@pytest.mark.parametrize("odd", [b"NaN", b'"\\ud83d"', b'"\n"', b"[" * 300 + b"]" * 300])
def test_an_odd_element_is_odd_alone(odd: bytes) -> None:
    body = b'{"entry":[%b]}' % entry(b'{"id":"1"},%b,{"id":"2"}' % odd)

    assert len(as_documented(body)) == 3
    assert as_documented(body) == step_by_step(body)
