"""What is written beside a message that goes to another queue, and what is read from it."""

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode
from pamqp.commands import Basic

from consumers.kit.queues.headers import (
    ATTEMPT,
    DIED_AT,
    REASON,
    REPLAY,
    ROUTING_KEY,
    DeadLetter,
    attempt_of,
    dead_letter_properties,
    read_dead_letter,
    retry_properties,
    routing_key_of,
)

KEY = "swiftsell.message.created.text"
MOMENT = datetime(2026, 11, 20, 16, 0, 0, 250_000, tzinfo=UTC)
BROKER_TIME = datetime(2026, 11, 20, 16, 0, 0, tzinfo=UTC)  # it counts whole seconds

# As RabbitMQ 3.10 writes them, the latest death first.
LIMIT_REACHED = {
    "reason": "delivery_limit",
    "queue": "crm-sync",
    "exchange": "webhooks",
    "routing-keys": [KEY],
    "time": BROKER_TIME,
    "count": 1,
}
EXPIRED = {
    "reason": "expired",
    "queue": "crm-sync.retry.1s",
    "exchange": "",
    "routing-keys": ["crm-sync.retry.1s"],
    "time": BROKER_TIME,
    "count": 3,
}
OF_THE_BROKER = {
    "x-delivery-count": 20,
    "x-acquired-count": 20,
    "x-death": [LIMIT_REACHED],
    "x-first-death-exchange": "webhooks",
    "x-first-death-queue": "crm-sync",
    "x-first-death-reason": "delivery_limit",
    "x-last-death-exchange": "webhooks",
    "x-last-death-queue": "crm-sync",
    "x-last-death-reason": "delivery_limit",
}


def delivered(headers: dict[str, Any] | None = None, **properties: Any) -> Basic.Properties:
    """Return properties as a consumer gets them."""
    return Basic.Properties(
        headers=headers,
        message_id="e1",
        message_type="message.created",
        content_type="application/cloudevents+json",
        timestamp=BROKER_TIME,
        app_id="relay",
        **properties,
    )


@pytest.mark.parametrize(
    ("header", "attempt"),
    [
        (1, 1),
        (7, 7),
        (0, 1),
        (-3, 1),
        (10**9, 1_000_000),
        (True, 1),
        ("2", 1),
        (2.0, 1),
        (None, 1),
    ],
)
def test_an_attempt_is_a_number_from_one_whatever_others_write(header: Any, attempt: int) -> None:
    assert attempt_of({ATTEMPT: header}) == attempt


def test_without_a_header_it_is_the_first_attempt() -> None:
    assert attempt_of({}) == 1


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({ROUTING_KEY: KEY}, KEY),
        ({ROUTING_KEY: ""}, "crm-sync"),
        ({ROUTING_KEY: 5}, "crm-sync"),
        ({}, "crm-sync"),
    ],
)
def test_the_relays_routing_key_goes_before_that_of_the_delivery(
    headers: dict[str, Any], key: str
) -> None:
    assert routing_key_of(headers, "crm-sync") == key


def test_what_is_to_be_handled_again_says_which_attempt_and_keeps_the_rest() -> None:
    properties = delivered({"vendor": "swiftsell", "traceparent": "00-1", REPLAY: "r1"})

    changed = retry_properties(properties, attempt=2, routing_key=KEY)

    assert changed.headers == {
        "vendor": "swiftsell",
        "traceparent": "00-1",
        REPLAY: "r1",
        ATTEMPT: 2,
        ROUTING_KEY: KEY,
    }
    assert changed.message_id == "e1"
    assert changed.message_type == "message.created"
    assert changed.content_type == "application/cloudevents+json"
    assert changed.timestamp == BROKER_TIME
    assert changed.app_id == "relay"


def test_the_delivered_properties_stay_as_they_were() -> None:
    properties = delivered({"vendor": "swiftsell"}, expiration="5000", delivery_mode=1)

    retry_properties(properties, attempt=2, routing_key=KEY)

    assert properties.headers == {"vendor": "swiftsell"}
    assert (properties.expiration, properties.delivery_mode) == ("5000", 1)


def test_what_is_handed_on_is_persistent_and_neither_expires_nor_claims_a_user() -> None:
    properties = delivered(None, expiration="5000", user_id="someone", delivery_mode=1)

    changed = retry_properties(properties, attempt=1, routing_key=KEY)

    assert (changed.delivery_mode, changed.expiration, changed.user_id) == (2, None, None)


def test_what_the_broker_wrote_of_an_earlier_death_does_not_travel_on() -> None:
    earlier = {REASON: "ValueError", DIED_AT: "2026-11-20T16:00:00Z"}

    changed = retry_properties(delivered(OF_THE_BROKER | earlier), attempt=1, routing_key=KEY)

    assert changed.headers == {ATTEMPT: 1, ROUTING_KEY: KEY}


def test_a_dead_letter_is_read_as_it_was_written() -> None:
    properties = dead_letter_properties(
        delivered({"vendor": "swiftsell"}),
        attempts=5,
        routing_key=KEY,
        reason="ValueError: no such contact",
        died_at=MOMENT.timestamp(),
    )

    assert read_dead_letter(properties, "crm-sync.dead") == DeadLetter(
        id="e1",
        type="message.created",
        routing_key=KEY,
        reason="ValueError: no such contact",
        attempts=5,
        died_at=MOMENT.timestamp(),
    )
    assert properties.headers
    assert properties.headers["vendor"] == "swiftsell"


def test_a_reason_has_a_limit() -> None:
    properties = dead_letter_properties(
        delivered(), attempts=1, routing_key=KEY, reason="é" * 5000, died_at=0
    )

    assert read_dead_letter(properties, "").reason == "é" * 1000


@pytest.mark.parametrize(
    ("headers", "reason", "routing_key", "attempts", "died_at"),
    [
        (
            {"x-death": [LIMIT_REACHED]},
            "delivered again and again without an answer; the consumer may have died of it",
            KEY,
            0,
            BROKER_TIME.timestamp(),
        ),
        (
            {
                "x-death": [LIMIT_REACHED | {"routing-keys": ["crm-sync"]}, EXPIRED],
                ROUTING_KEY: KEY,
                ATTEMPT: 4,
            },
            "delivered again and again without an answer; the consumer may have died of it",
            KEY,
            4,
            BROKER_TIME.timestamp(),
        ),
        (
            {"x-death": [LIMIT_REACHED | {"reason": "rejected"}]},
            "rejected",
            KEY,
            0,
            BROKER_TIME.timestamp(),
        ),
        ({"x-death": [{}]}, "not known", "crm-sync.dead", 0, None),
        ({"x-death": ["odd"]}, "not known", "crm-sync.dead", 0, None),
        ({"x-death": "odd"}, "not known", "crm-sync.dead", 0, None),
        ({"x-death": [{"routing-keys": "odd", "time": 5}]}, "not known", "crm-sync.dead", 0, None),
        ({REASON: 5, ATTEMPT: "4"}, "not known", "crm-sync.dead", 0, None),
        ({REASON: "why", DIED_AT: "noon"}, "why", "crm-sync.dead", 0, None),
        (None, "not known", "crm-sync.dead", 0, None),
    ],
    ids=[
        *("by the broker", "by the broker after retries", "rejected", "empty", "no death"),
        *("no deaths", "odd death", "odd headers", "odd moment", "no headers"),
    ],
)
def test_a_dead_letter_is_read_whoever_put_it_there(
    headers: dict[str, Any] | None,
    reason: str,
    routing_key: str,
    attempts: int,
    died_at: float | None,
) -> None:
    letter = read_dead_letter(delivered(headers), "crm-sync.dead")

    assert (letter.reason, letter.routing_key, letter.attempts, letter.died_at) == (
        *(reason, routing_key, attempts, died_at),
    )


def test_a_message_without_any_properties_is_a_dead_letter_without_a_name() -> None:
    letter = read_dead_letter(Basic.Properties(), "crm-sync.dead")

    assert (letter.id, letter.type, letter.reason) == ("", "", "not known")


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


@pytest.mark.parametrize(
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
    ids=repr,
)
def test_a_header_arrives_as_it_was_or_else_as_text(header: Any, arrives_as: Any) -> None:
    assert handed_on(delivered({"odd": header})) == [{"odd": arrives_as}] * 2


def test_a_header_nested_without_end_is_cut_off() -> None:
    header: list[Any] = []
    for _ in range(400):
        header = [header]

    headers, _ = handed_on(delivered({"odd": header}))

    assert str(headers["odd"]) == "[" * 16 + "'nested too deeply'" + "]" * 16


odd_texts = st.text(st.characters(codec=None), max_size=200)
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
        lambda values: st.lists(values) | st.dictionaries(odd_texts, values),
    ),
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
