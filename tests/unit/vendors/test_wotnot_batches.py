"""Several events in one delivery, some of which are not understood."""

import orjson
import pytest

from relay import vendors
from relay.events.event import MAX_EVENTS
from relay.events.message import Origin
from relay.ingress import http_response
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row

SOURCE = Source(
    origin=Origin(vendor="swiftsell", source="acme"),
    vendor=vendors.discover()["swiftsell"],
    secrets=Secrets(["tok-1"]),
)
GOOD = rb'{"event":{"type":"note","payload":{"note":"1"}}}'
BETTER = rb'{"event":{"type":"note","payload":{"note":"2"}}}'


def processed(*elements: bytes, rest: bytes = b"") -> ProcessedDelivery:
    body = rb'{"events": [' + b" , ".join(elements) + b"]" + rest + b"}"
    request = Request(body=body, headers={"authorization": "tok-1"})
    return process_delivery(request, SOURCE, 1.5, "d1")


def kept(found: ProcessedDelivery) -> list[bytes]:
    return [message.body for message in found.messages if message.is_quarantined]


@for_each_row(
    ("bad", "reason"),
    [
        (b'{"event": {"type": NaN}}', "not_json"),
        (b"-Infinity", "not_json"),
        (b'{"event": {"type": "a", "payload": 1e999}}', "not_json"),
        (b'{"event": "a line\n break, and ] }"}', "not_json"),
        (b'{"event": "\xff"}', "not_json"),
        (b'{"event": "\\x41\\""}', "not_json"),
        (b'{"event": {"type": "a"},}', "not_json"),
        (b"undefined", "not_json"),
        (b'{"event": null}', "unknown_shape"),
        (b'{"event": "\\ud83d"}', "unknown_shape"),
        (b"7", "unknown_shape"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
    ],
)
def test_what_is_not_understood_is_quarantined_alone(bad: bytes, reason: str) -> None:
    found = processed(GOOD, bad, BETTER)

    assert (found.reason, found.reasons) == (None, (reason,))
    assert [message.is_quarantined for message in found.messages] == [False, True, False]
    assert kept(found) == [bad]
    assert found.messages[1].routing_key == f"swiftsell.{reason}"
    assert b"\x0bdelivery_idS\x00\x00\x00\x02d1" in found.messages[1].properties
    assert [found.messages[0], found.messages[2]] == list(processed(GOOD, BETTER).messages)


def test_the_answer_names_what_went_out_and_what_did_not() -> None:
    found = processed(b"{}", GOOD, b"NaN", b"NaN")

    answer = orjson.loads(http_response.accepted_response(found, "json").body)
    shape, good, first, second = [message.id for message in found.messages]
    assert len({shape, good, first, second}) == 4
    assert answer == {
        "status": "accepted",
        "events": [good],
        "quarantined": [
            {"reason": "unknown_shape", "id": shape},
            {"reason": "not_json", "id": first},
            {"reason": "not_json", "id": second},
        ],
        "token": "tok-1",
    }


@pytest.mark.parametrize("element", [b"{}", b'{"event": {"type": NaN}}'])
def test_where_nothing_is_understood_the_delivery_is_kept_as_it_came(element: bytes) -> None:
    found = processed(element, b"NaN")

    [message] = found.messages
    assert found.reason
    assert message.body == rb'{"events": [' + element + b" , NaN]}"


def test_a_token_is_in_nothing_that_is_kept_alone() -> None:
    found = processed(
        b'{"token":"old-1","a": 1}', GOOD, b'{"token":"old-2","b":NaN}', b'{"c": "tok-1"}'
    )

    assert kept(found) == [b'{"a":1}', b'{"b":NaN}', b'{"c": "[secret removed]"}']


@pytest.mark.parametrize(
    "body",
    [
        b'{"token":"tok-1","events":[%b,NaN]}' % GOOD,
        b'{"events":[{"token":"tok-1","event":NaN},%b]}' % GOOD,
        b'{"events":[undefined,{"token":"tok-1","event":{"type":"note"}}]}',
    ],
)
def test_a_token_is_found_beside_what_is_no_json(body: bytes) -> None:
    found = process_delivery(Request(body=body), SOURCE, 1.5, "d1")

    assert (found.reasons, found.types) == (("not_json",), ("note.created",))
    assert not any(b"tok-1" in message.body for message in found.messages)


def test_exactly_the_repaired_events_of_a_delivery_say_so() -> None:
    cut = rb'{"event":{"type":"note","payload":{"note":"\ud83d"}}}'
    token = rb'{"token":"t","event":{"type":"note"}}'

    found = processed(GOOD, cut, rb'{"event":"\ud83d"}', token, rest=rb',"a":"\ud83d"')

    events = [
        orjson.loads(message.body) for message in found.messages if message.body not in kept(found)
    ]
    assert [event.get("rawrepaired") for event in events] == [None, "lone-surrogate", None]
    assert kept(found) == [rb'{"event":"\ud83d"}']


def test_an_element_alone_is_understood_as_it_would_have_been_among_others() -> None:
    [alone] = process_delivery(
        Request(body=GOOD, headers={"authorization": "tok-1"}), SOURCE, 1.5, "d1"
    ).messages

    assert alone == processed(BETTER, GOOD).messages[1]


def test_a_broken_delivery_of_too_many_events_is_known_by_its_token_and_kept() -> None:
    body = b'{"token":"tok-1","events":[%b1]}' % (b"NaN," * MAX_EVENTS)

    [message] = process_delivery(Request(body=body), SOURCE, 1.5, "d1").messages

    assert message.is_quarantined
    assert b"too_many_events" in message.properties
    assert b"tok-1" not in message.body
