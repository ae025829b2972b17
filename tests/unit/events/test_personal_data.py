"""`redact`: no value that a pointer finds is left in what the relay keeps or logs."""

import hashlib
import hmac
import json
import pickle
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events.message import Message, Origin
from relay.events.redaction_rules import redaction_of
from relay.events.source_rules import SourceRules
from relay.ingress.outcomes import summarize
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors import Vendor, swiftsell
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each_row
from tests.unit.events.persons import PERSONAL, PLACES, Told, filled

HEADERS = ("x-who", "x-other")
KEY = "a key of 16 characters or more"


def pseudonym(value: str) -> str:
    return hmac.digest(KEY.encode(), value.encode(), hashlib.sha256).hex()


def processed(
    redact: Mapping[str, str],
    body: Any,
    headers: Mapping[str, str] | None = None,
    vendor: Vendor | None = None,
) -> ProcessedDelivery:
    source = Source(
        origin=Origin(vendor="told", source="acme"),
        vendor=vendor or Told(),
        secrets=Secrets(()),
        rules=SourceRules(redaction=redaction_of(redact, KEY), headers=HEADERS),
    )
    sent = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return process_delivery(Request(body=sent, headers=headers or {}), source, 1.5, "d")


def event_of(found: ProcessedDelivery) -> dict[str, Any]:
    (message,) = found.messages
    assert not message.is_quarantined
    event: dict[str, Any] = orjson.loads(message.body)
    return event


def everything(found: ProcessedDelivery) -> str:
    """Return all that is stored, published, answered and logged of a delivery."""
    parts = [*(part for message in found.messages for part in bytes_of(message))]
    parts.append(repr((logged(found), found._replace(messages=[]))).encode())
    return b"\n".join(parts).decode(errors="replace")


def logged(found: ProcessedDelivery) -> dict[str, object]:
    line: dict[str, object] = {}
    summarize(found, line)
    return line


def bytes_of(message: Message) -> list[bytes]:
    return [message.body, message.properties, message.routing_key.encode(), message.id.encode()]


BODY = {
    "data": {
        "contact": {"id": "c-4711", "email": "ann@example.com", "name": "Ann"},
        "conversation": {"id": "c-4711"},
        "message": {
            "kind": "text",
            "text": "write to ann@example.com",
            "attachments": [{"url": "https://a/1", "file_name": "one"}, {"url": "https://a/2"}],
        },
    },
    "visitor": {"mail": "ann@example.com", "ids": ["c-4711", 5], "link": "/?m=ann%40example.com"},
    "big": 12345678901234567890123,
}


def test_each_word_does_what_it_says_and_the_same_value_goes_wherever_it_stands() -> None:
    found = processed({"/contact/email": "remove", "/contact/id": "pseudonym"}, BODY)

    event = event_of(found)
    data, raw = event["data"], event["data"]["raw"]
    name = pseudonym("c-4711")
    assert data["contact"] == {"id": name, "name": "Ann"}
    assert data["conversation"] == {"id": name}
    assert (event["subject"], event["partitionkey"]) == (f"conversation/{name}", name)
    assert data["message"]["text"] == "write to ***"
    assert raw["visitor"] == {"ids": [name, 5], "link": "/?m=***"}
    assert b"12345678901234567890123" in found.messages[0].body


@for_each_row(
    ("redact", "path", "expected"),
    [
        ({"/message/text": "mask"}, ("message", "text"), "***"),
        ({"/message/text": "remove"}, ("message", "text"), None),
        ({"/contact": "remove"}, ("contact",), None),
        ({"/contact/*": "mask"}, ("contact",), {"id": "***", "email": "***", "name": "***"}),
        ({"/message/attachments/*/url": "mask"}, ("message", "attachments", 1), {"url": "***"}),
        ({"/message/attachments/1": "remove"}, ("message", "attachments", 1), None),
        ({"/raw/visitor/ids/*": "mask"}, ("raw", "visitor", "ids"), ["***", "***"]),
        ({"/raw/visitor": "remove"}, ("raw", "visitor"), None),
        ({"/raw/visitor/mail": "mask"}, ("contact", "email"), "***"),
        ({"/raw/big": "pseudonym"}, ("raw", "big"), pseudonym("12345678901234567890123")),
        ({"/nothing/here": "remove"}, ("contact", "name"), "Ann"),
    ],
)
def test_a_pointer_names_what_is_redacted(
    redact: dict[str, str], path: tuple[str | int, ...], expected: object
) -> None:
    value: Any = event_of(processed(redact, BODY))["data"]
    for step in path:
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step)

    assert value == expected


@pytest.mark.parametrize(
    ("data", "redact", "subject"),
    [
        ({"contact": {"id": "7"}, "conversation": {"id": "7"}}, "pseudonym", "conversation/"),
        ({"contact": {"id": "7"}, "conversation": {"id": "7"}}, "remove", None),
        ({"contact": {"id": "7", "phone": "+4930123"}}, "mask", None),
    ],
)
def test_a_short_id_is_in_no_subject_either(data: Any, redact: str, subject: str | None) -> None:
    event = event_of(processed({"/contact/id": redact}, {"data": data}))

    assert event.get("subject") == (subject and subject + pseudonym("7"))
    assert event.get("partitionkey") == (
        pseudonym("7") if subject else data["contact"].get("phone")
    )


def test_the_id_is_that_of_what_was_sent() -> None:
    ids = {processed(redact, BODY).messages[0].id for redact in ({}, {"/contact/id": "mask"})}

    assert len(ids) == 1


def test_the_words_that_tell_the_kind_of_event_stay() -> None:
    body = {"data": {"message": {"kind": "text", "text": "text"}, "status": "text"}, "kind": "text"}

    event = event_of(processed({"/message/text": "mask"}, body))

    assert event["vendortype"] == "text"
    assert event["data"]["message"] == {"kind": "text", "text": "***"}
    assert event["data"]["status"] == "text"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'[{"visitor":{"mail":"ann@x.org"}},{"a":"ann@x.org"}]', '[{"visitor":{}},{}]'),
        (b'{"a":[{"visitor":{"mail":"ann@x.org","n":1.50}}]}', '{"a":[{"visitor":{"n":1.50}}]}'),
        (b'{"visitor":{"mail":"ann@x.org"},"n":NaN,"s":"\\ud83d"}', None),
    ],
)
def test_what_is_not_understood_is_redacted_wherever_the_shape_fits(
    body: bytes, kept: str | None
) -> None:
    redact = {"/raw/visitor/mail": "remove"}

    found = processed(redact, body, {"x-who": "ann@x.org", "x-other": "1"})

    (message,) = found.messages
    assert message.is_quarantined
    assert not found.is_unredacted
    assert "ann@x.org" not in everything(found)
    assert b"x-other" in message.properties
    assert kept is None or message.body.decode() == kept
    assert message.id == processed({}, body).messages[0].id


@pytest.mark.parametrize(
    ("redact", "body"),
    [
        ({"/raw/visitor/mail": "remove"}, b"mail=ann@x.org"),
        ({"/raw/visitor/mail": "remove"}, b'{"visitor":{"mail":"ann@x.org"}'),
        ({"/contact/email": "remove"}, b'{"visitor":{"mail":"ann@x.org"}}'),
        ({"/raw/visitor/mail": "remove"}, b"[" * 5000),
    ],
)
def test_what_can_not_be_redacted_is_kept_and_the_log_says_so(
    redact: dict[str, str], body: bytes
) -> None:
    found = processed(redact, body)

    assert found.messages[0].body == body
    assert logged(found)["unredacted"] is True


def test_a_header_with_a_value_does_not_go_along() -> None:
    headers = {"x-who": "ann@example.com", "x-other": "1"}

    found = processed({"/contact/email": "remove"}, BODY, headers)

    assert "ann@example.com" not in everything(found)
    assert b"http-x-other" in found.messages[0].properties


@pytest.mark.parametrize("count", [8, 4_000])
def test_many_odd_elements_are_redacted_in_time_that_grows_with_their_number(count: int) -> None:
    # That time grew with its square: a delivery of 150 kB took 40 s.
    redact = {"/raw/visitor/key": "mask", "/conversation/id": "remove"}
    body = {"events": [odd_or_understood(number) for number in range(count)]}
    headers = {"x-who": f"visitor-{count - 1:05}", "x-other": "1" * 900}

    found = processed(redact, body, headers, vendor=swiftsell)

    assert (len(found.messages), len(found.reasons)) == (count, count // 2)
    assert not any(b"visitor-" in part for each in found.messages for part in bytes_of(each))
    assert all(b"http-x-other" in message.properties for message in found.messages)


def odd_or_understood(number: int) -> dict[str, Any]:
    """Return an element that names its visitor in a longer text, too; each second is odd."""
    key = f"visitor-{number:05}"
    event = {"event": {"type": "note", "payload": {"note": f"from {key}"}}} if number % 2 else {}
    return {"visitor": {"key": key}, "about": f"/?v={key}", **event}


def test_rules_can_be_sent_to_the_subprocess_and_hide_their_key() -> None:
    rules = SourceRules(redaction=redaction_of({"/contact/id": "pseudonym"}, KEY))

    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301  our own
    assert KEY not in repr(rules)


@for_each_row(
    ("pointers", "named"),
    [
        ({"contact": "mask"}, "contact"),
        ({"": "mask"}, "''"),
        ({"/": "mask"}, "'/'"),
        ({"/a~2": "mask"}, "/a~2"),
        ({"/raw": "remove"}, "/raw/*"),
        ({"/*": "remove"}, "'/*'"),
        ({"/a": "hide"}, "hide"),
        ({"/a": ""}, "/a"),
        ({f"/{number}": "mask" for number in range(101)}, "100"),
    ],
)
def test_a_bad_pointer_or_word_is_a_problem(pointers: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=r"no |none|more") as caught:
        redaction_of(pointers, KEY)

    assert named in str(caught.value)


@given(
    value=PERSONAL,
    place=PLACES,
    pointer=st.sampled_from(
        [
            "/contact/email",
            "/contact/id",
            "/conversation/id",
            "/raw/who/*/x",
            "/message/variables/*",
        ]
    ),
    word=st.sampled_from(["remove", "mask", "pseudonym"]),
    is_understood=st.booleans(),
)
def test_no_value_is_left_anywhere(
    value: str, place: Any, pointer: str, word: str, *, is_understood: bool
) -> None:
    person = {"id": value, "email": value}
    data = {"contact": person, "conversation": {"id": value}, "message": {"variables": [value]}}
    body = {"data": data, "who": [{"x": value}], "place": filled(place, value), "kind": value}
    sent = body if is_understood else [[body]]
    redact = {pointer: word} if is_understood else {"/raw/who/*/x": word}

    found = processed(redact, sent, {"x-who": f"<{value}>"})

    kept = everything(found)
    assert value not in kept
    assert quote(value) not in kept
    assert orjson.dumps(value).decode()[1:-1] not in kept
    assert [message.is_quarantined for message in found.messages] == [not is_understood]
