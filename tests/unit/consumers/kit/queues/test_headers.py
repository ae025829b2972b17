"""What is written beside a message that goes to another queue, and what is read from it."""

from typing import Any

import pytest
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
from tests.support.headers import BROKER_TIME, KEY, MOMENT, delivered
from tests.support.rows import for_each_row

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


@for_each_row(
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


@for_each_row(
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
