"""What a delivery turns out to be, and what a log may say of one that was refused."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import vendors
from relay.errors import Unauthenticated
from relay.events.message import Origin
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.ingress.safe_errors import safe_field_names
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Echo, Request
from tests.support.rows import for_each, for_each_row

SOURCE = Source(
    origin=Origin(vendor="swiftsell", source="acme"),
    vendor=vendors.discover()["swiftsell"],
    secrets=Secrets(["tok-1"]),
)
NOTES = b'{"events":[{"event":{"type":"note"}},{"event":{"type":"sla_breached"}}]}'


def understood(body: bytes, **headers: str) -> ProcessedDelivery:
    request = Request(body=body, headers={"authorization": "tok-1"} | headers)
    return process_delivery(request, SOURCE, 1.5, "d1")


def test_events_are_encoded_with_the_trace_they_belong_to() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    found = understood(NOTES, traceparent=trace)

    assert found.types == ("note.created", "unrecognized")
    assert [message.routing_key for message in found.messages] == [
        "swiftsell.note.created",
        "swiftsell.unrecognized.sla_breached",
    ]
    assert all(trace.encode() in message.properties for message in found.messages)
    assert (found.echo, found.reason) == (Echo(token="tok-1"), None)


def test_an_event_that_grows_too_large_is_quarantined_as_it_came() -> None:
    variables = {f"{number:x}": 0 for number in range(500_000)}
    event = {"type": "variables", "payload": {"variables": variables}}
    body = orjson.dumps({"events": [{"event": event}]})

    found = understood(body)

    assert len(body) < 5_242_880  # the default of ingress.body_limit_bytes
    assert (found.reason, [message.body for message in found.messages]) == ("too_large", [body])


def test_a_handshake_leaves_nothing_to_store() -> None:
    bare = process_delivery(Request(body=b"tok-1"), SOURCE, 1.5, "d1")
    empty = understood(b"")

    assert bare == ProcessedDelivery(messages=[], echo=Echo(token="tok-1", shape="text"))
    assert empty == ProcessedDelivery(messages=[], echo=Echo(token="tok-1"))


def test_what_is_not_understood_is_one_message_for_the_quarantine() -> None:
    found = understood(b"tok-1 {", **{"content-type": "x/y"})

    [message] = found.messages
    assert (found.reason, found.types, found.echo) == ("not_json", (), Echo(token="tok-1"))
    assert message.routing_key == "swiftsell.not_json"
    assert message.body == b"[secret removed] {"
    assert message.is_quarantined


@for_each(name=vendors.discover())
def test_a_delivery_processed_again_has_the_same_ids(name: str) -> None:
    vendor = vendors.discover()[name]
    origin = Origin(vendor=name, source="acme")
    source = Source(origin=origin, vendor=vendor, secrets=Secrets(["tok-1"]))
    for sample in vendors.samples(name):
        request = vendor.sign(sample.read_bytes(), "tok-1").as_received()

        first, again = (
            process_delivery(request, source, 1.5, "d1"),
            process_delivery(request, source, 86_400, "d1"),
        )

        assert first.messages
        assert [message.id for message in again.messages] == [
            message.id for message in first.messages
        ]


@pytest.mark.parametrize("name", ["acquire", "channeltalk", "pickyassist"])
def test_a_cut_emoji_is_repaired_whatever_the_vendor(name: str) -> None:
    body = {
        "acquire": rb'{"event":"case:status","data":{"a\ud83d":"x\ude00"}}',
        "channeltalk": rb'{"type":"a","event":"b","entity":{"a\ud83d":"x\ude00"}}',
        "pickyassist": rb'{"event_id":"1","contact_id":"7","a\ud83d":"x\ude00"}',
    }[name]
    origin = Origin(vendor=name, source="acme")
    source = Source(origin=origin, vendor=vendors.discover()[name], secrets=Secrets([]))

    found = process_delivery(Request(body=body), source, 1.5, "d1")

    [message] = found.messages
    event = orjson.loads(message.body)
    assert (found.reason, event["rawrepaired"]) == (None, "lone-surrogate")
    assert b'"a\\ufffd":"x\\ufffd"' in message.body


def test_a_token_is_found_in_a_body_with_a_cut_emoji() -> None:
    body = rb'{"token":"tok-1","events":[{"event":{"type":"note","payload":{"note":"a\ud83d"}}}]}'

    found = process_delivery(Request(body=body), SOURCE, 1.5, "d1")

    [message] = found.messages
    event = orjson.loads(message.body)
    assert event["data"]["note"] == {"text": "a\ufffd"}
    assert event["rawrepaired"] == "lone-surrogate"
    assert "rawrepaired" not in orjson.loads(understood(NOTES).messages[0].body)


def test_what_is_quarantined_keeps_what_its_ids_are_made_of() -> None:
    found = process_delivery(
        Request(body=b"{", headers={"authorization": "tok-1"}), SOURCE, 1.5, "d7"
    )

    [message] = found.messages
    assert b"\x0bdelivery_idS\x00\x00\x00\x02d7" in message.properties


def test_nothing_of_an_unauthenticated_delivery_is_understood() -> None:
    with pytest.raises(Unauthenticated):
        process_delivery(Request(body=NOTES), SOURCE, 1.5, "d1")


def seen(body: bytes = b"", query_string: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return safe_field_names(Request(body=body, headers=named, query_string=query_string), ())


def test_names_are_seen_and_values_are_not() -> None:
    found = seen(b'{"key": "s1", "nested": {"in": 1}}', "a=s2&b=s3&a=s5", x_auth="s4")

    assert found == {
        "header_names": ["x-auth"],
        "query_names": ["a", "b", "a"],
        "body_names": ["key", "nested"],
        "content_type": "",
    }


FORM = "application/x-www-form-urlencoded"


@for_each_row(
    ("body", "content_type", "names"),
    [
        (b"key=s1&other=s2", FORM, ["key", "other"]),
        (b'\xef\xbb\xbf{"key":"s1"}', "application/json", ["key"]),
        (b"[1]", "", []),
        (b'"s1"', "", []),
        (b"s1", FORM, []),
        (b"s1&s2", FORM, []),
        (b"bm90IGEgbmFtZQ==", FORM, []),
        (b'{"a":' * 300, "", []),
        (b'{"a": "' + b"x" * 140_000 + b'"}', "", []),
    ],
)
def test_the_names_of_a_body_are_those_of_its_fields(
    body: bytes, content_type: str, names: list[str]
) -> None:
    found = seen(body, content_type=content_type)

    assert found["body_names"] == names
    assert found["content_type"] == content_type


def test_a_value_of_a_multipart_form_is_no_name() -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nvalue&more=1\r\n--b--'

    found = seen(body, content_type="multipart/form-data; boundary=b")

    assert set(found["body_names"]) <= {"key"}


@pytest.mark.parametrize("spelling", ["tok-1", "tok%2D1", r"tok\u002d1", f"{'x' * 100}tok-1"])
def test_a_live_secret_in_the_place_of_a_name_is_not_shown(spelling: str) -> None:
    request = Request(
        body=b'{"%s": 1}' % spelling.encode(),
        headers={"content-type": f"text/{spelling}; a=b"},
        query_string=f"{spelling}=1",
    )

    found = safe_field_names(request, ["tok-1"])

    assert found["query_names"] == found["body_names"] == ["[secret removed]"]
    assert found["content_type"] == "[secret removed]"


@pytest.mark.parametrize("query_string", ["c2VjcmV0dG9rZW4=", "c2VjcmV0dG9rZW4", "a&c2VjcmV0dA=="])
def test_a_bare_token_in_the_query_is_no_name(query_string: str) -> None:
    assert seen(query_string=query_string)["query_names"] == []


def test_names_are_bounded_in_number_and_length() -> None:
    many = {f"{number:03}" + "x" * 100: 1 for number in range(100)}

    found = seen(orjson.dumps(many), "&".join(f"{name}=1" for name in many), content_type="y" * 500)

    for kind in ("query_names", "body_names"):
        assert len(found[kind]) == 50
        assert {len(name) for name in found[kind]} == {64}
    assert found["content_type"] == "y" * 64


@given(
    body=st.binary(max_size=60) | st.text('a=&%{}":', max_size=30).map(str.encode),
    query_string=st.text(max_size=30),
    headers=st.dictionaries(st.just("content-type") | st.text(), st.text(st.characters())),
)
def test_names_can_be_logged_as_json_whatever_arrived(
    body: bytes, query_string: str, headers: dict[str, str]
) -> None:
    found = safe_field_names(Request(body=body, headers=headers, query_string=query_string), ())

    orjson.dumps(found)


def test_a_content_type_that_is_not_utf_8_can_be_logged_as_json() -> None:
    found = seen(content_type="text/plain; charset=\udcff")  # as aiohttp reads a byte FF

    orjson.dumps(found)
