"""Headers of others that travel on with a message: as they were, or as text."""

import struct
from datetime import UTC
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode
from pamqp.commands import Basic

from consumers.kit.queues.headers import (
    ATTEMPT,
    DIED_AT,
    REASON,
    ROUTING_KEY,
    dead_letter_properties,
    read_dead_letter,
    retry_properties,
)
from tests.support.headers import BROKER_TIME, KEY, MOMENT, delivered
from tests.support.rows import for_each_row


def sent(properties: Basic.Properties) -> Basic.Properties:
    """Return properties as who receives them reads them."""
    data = properties.marshal()
    read = Basic.Properties()
    read.unmarshal(int.from_bytes(data[:2]), data[2:])
    return read


def handed_on(properties: Basic.Properties) -> list[dict[str, Any]]:
    """Return the headers, ours aside, that arrive with what is handled again and what is dead."""
    again = retry_properties(properties, attempt=2, routing_key=KEY)
    dead = dead_letter_properties(properties, attempts=2, routing_key=KEY, reason="why", died_at=0)
    ours = {ATTEMPT, ROUTING_KEY, REASON, DIED_AT}
    return [
        {name: each for name, each in (sent(one).headers or {}).items() if name not in ours}
        for one in (again, dead)
    ]


LONGEST = b"\xff" * 8
OF_EACH_TYPE = {
    b"t": [b"\0", b"\1"],
    b"b": [b"\x80", b"\x7f"],
    b"B": [b"\xff"],
    b"s": [b"\x80\0", b"\x7f\xff"],
    b"u": [b"\xff\xff"],
    b"I": [b"\x80\0\0\0", b"\x7f\xff\xff\xff"],
    b"i": [b"\xff\xff\xff\xff"],
    b"l": [b"\x80" + bytes(7), LONGEST],
    b"L": [b"\x80" + bytes(7), LONGEST],
    b"f": [struct.pack(">f", each) for each in (0.1, 3.4e38, 1e-45, float("inf"), float("nan"))],
    b"d": [
        struct.pack(">d", each) for each in (0.1, 0.5, 1e300, 5e-324, float("inf"), float("nan"))
    ],
    b"D": [b"\x02\xff\xff\xff\xfb", b"\xff\x7f\xff\xff\xff", b"\0\x80\0\0\0", bytes(5)],
    b"S": [b"\0\0\0\2\xff\xfe", b"\0\0\0\2\xc3\xa9", bytes(4)],
    b"A": [b"\0\0\0\7S\0\0\0\2\xff\xfe", bytes(4)],
    b"T": [bytes(8), struct.pack(">Q", 1_795_190_400_123), struct.pack(">Q", 10**14)],
    b"F": [b"\0\0\0\x0b\1ad" + struct.pack(">d", 1e300), bytes(4)],
    b"V": [b""],
    b"\0": [b""],
    b"x": [b"\0\0\0\2\xff\xfe", bytes(4)],
}


def test_whatever_header_can_be_read_can_be_handed_on() -> None:
    assert set(OF_EACH_TYPE) == set(decode.TABLE_MAPPING)
    for kind, values in OF_EACH_TYPE.items():
        for value in values:
            _, header = decode.embedded_value(kind + value)

            for headers in handed_on(delivered({"odd": header})):
                is_as_it_was = headers["odd"] == header
                assert is_as_it_was or isinstance(headers["odd"], str) or kind in b"AF"


@for_each_row(
    ("header", "arrives_as"),
    [
        (b"\xff\xfea", "\\xff\\xfea"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
        (0.5, 0.5),
        (Decimal("1E-300"), "1E-300"),
        (Decimal("-1.5"), Decimal("-1.5")),
        (2**63, "9223372036854775808"),
        (True, True),
        (None, None),
        ("a\ud800", "a\\ud800"),
        (bytearray(b"\xff"), bytearray(b"\xff")),
        (BROKER_TIME, BROKER_TIME),
        (MOMENT, "2026-11-20 16:00:00.250000+00:00"),
        ({"a": [0.1, {"b": b"\xff"}]}, {"a": ["0.1", {"b": "\\xff"}]}),
    ],
)
def test_a_header_arrives_as_it_was_or_else_as_text(header: Any, arrives_as: Any) -> None:
    assert handed_on(delivered({"odd": header})) == [{"odd": arrives_as}] * 2


def test_a_header_nested_without_end_is_cut_off() -> None:
    header: list[Any] = []
    for _ in range(400):
        header = [header]

    headers, _ = handed_on(delivered({"odd": header}))

    assert str(headers["odd"]) == "[" * 16 + "'nested too deeply'" + "]" * 16


long_texts = st.builds(lambda each, times: each * times, st.characters(codec=None), st.just(260))
odd_texts = st.text(st.characters(codec=None), max_size=6) | long_texts
odd_headers = st.dictionaries(
    odd_texts,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals(allow_nan=True, places=3)
        | st.datetimes(timezones=st.none() | st.just(UTC))
        | st.binary()
        | st.binary().map(bytearray)
        | odd_texts,
        lambda values: (
            st.lists(values, max_size=3) | st.dictionaries(odd_texts, values, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


@given(odd_headers, odd_texts)
def test_no_header_and_no_reason_is_too_odd_to_be_sent(
    headers: dict[str, Any], reason: str
) -> None:
    properties = delivered(headers)

    again = sent(retry_properties(properties, attempt=2, routing_key=KEY))
    dead = sent(
        dead_letter_properties(properties, attempts=2, routing_key=KEY, reason=reason, died_at=0)
    )

    assert again.headers
    assert again.headers[ATTEMPT] == 2
    assert read_dead_letter(dead, "").attempts == 2


@given(odd_headers)
def test_what_arrived_changed_does_not_change_again(headers: dict[str, Any]) -> None:
    once = sent(retry_properties(delivered(headers), attempt=2, routing_key=KEY))

    assert sent(retry_properties(once, attempt=2, routing_key=KEY)) == once


def test_the_reason_is_text_that_can_be_sent() -> None:
    properties = dead_letter_properties(
        delivered(), attempts=1, routing_key=KEY, reason="no such file: \udcff", died_at=0
    )

    assert read_dead_letter(sent(properties), "").reason == "no such file: \\udcff"


def test_no_copies_are_sent_to_others() -> None:
    properties = delivered({"CC": ["other"], "BCC": ["another"], "cc": "not for the broker"})

    assert handed_on(properties) == [{"cc": "not for the broker"}] * 2


def test_properties_that_say_what_none_may_are_handed_on_without() -> None:
    properties = delivered()
    properties.delivery_mode, properties.cluster_id = 7, "c"

    changed = sent(retry_properties(properties, attempt=2, routing_key=KEY))

    assert (changed.delivery_mode, changed.cluster_id) == (2, "")
