"""What `/capture` shows of a request: none of what `redact` leads to, wherever it stands."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from relay import vendors
from relay.events.redaction_rules import redaction_of
from relay.ingress.redacted_request import (
    BODY_REMOVED,
    MAX_BODY_BYTES,
    RedactedRequest,
    redacted_request,
)
from relay.vendors import Vendor
from relay.vendors.kit.request import Request
from tests.support.generic_sources import generic_source
from tests.support.rows import for_each_row
from tests.unit.events.persons import PERSONAL, PLACES, Told, filled

KEY = "a key of 16 characters or more"
EMAIL = "/contact/email"
ANN = {"data": {"contact": {"email": "ann@example.com"}}, "note": "of ann@example.com"}


def shown(
    redact: Mapping[str, str],
    body: Any,
    *,
    headers: Mapping[str, str] | None = None,
    url: str = "/in/acme",
    vendor: Vendor | None = None,
) -> RedactedRequest:
    sent = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    request = Request(body=sent, headers=headers or {}, url=url)
    return redacted_request(request, vendor or Told(), redaction_of(redact, KEY))


def everything(request: RedactedRequest) -> str:
    head = [request.target, *[part for pair in request.headers for part in pair]]
    return "\n".join(head) + request.body.decode(errors="replace")


@given(
    value=PERSONAL,
    place=PLACES,
    pointer=st.sampled_from(
        ["/contact/email", "/contact/id", "/raw/who/*/x", "/message/variables/*"]
    ),
    word=st.sampled_from(["remove", "mask", "pseudonym"]),
    is_understood=st.booleans(),
)
def test_no_value_is_left_anywhere(
    value: str, place: Any, pointer: str, word: str, *, is_understood: bool
) -> None:
    person = {"id": value, "email": value}
    data = {"contact": person, "message": {"variables": [value]}}
    body = {"data": data, "who": [{"x": value}], "place": filled(place, value), "kind": value}
    sent = body if is_understood else [[body]]
    headers = {"x-who": f"<{value}>", "referer": f"https://a/?q={quote_plus(value)}", "x": "y"}

    request = shown({pointer: word}, sent, headers=headers, url=f"/in/acme?q={quote(value)}")

    kept = everything(request)
    is_redacted = is_understood or pointer.startswith("/raw/")
    assert (request.body == BODY_REMOVED) is not is_redacted
    if is_redacted:
        for spelling in (value, quote(value), quote_plus(value), json.dumps(value)[1:-1]):
            assert spelling not in kept
        assert request.headers == [("x", "y")]
        assert request.target == "/in/acme?[removed]"
    else:
        assert value not in request.body.decode()


def test_what_is_not_redacted_is_shown_as_it_came() -> None:
    headers = CIMultiDict([("X-Tag", "1"), ("X-Tag", "2"), ("X-Of", "ann@example.com")])

    request = shown({EMAIL: "mask"}, ANN, headers=headers, url="/in/acme?a=1")

    assert orjson.loads(request.body) == {
        "data": {"contact": {"email": "***"}},
        "note": "of ***",
    }
    assert request.headers == [("X-Tag", "1"), ("X-Tag", "2")]
    assert request.target == "/in/acme?a=1"


@for_each_row(
    ("redact", "body"),
    [
        ({EMAIL: "mask"}, b"who=ann%40example.com"),
        ({EMAIL: "mask", "/raw/mail": "mask"}, b"who=ann%40example.com"),
        ({EMAIL: "mask"}, b'{"data": {"contact": {"email": "ann@example.com"'),
        ({EMAIL: "mask"}, b'[["ann@example.com"]]'),
        ({EMAIL: "mask"}, b"\x1f\x8bann@example.com"),
        ({"/raw/mail": "mask"}, b"[" * 2000 + b'"ann@example.com"' + b"]" * 2000),
        ({EMAIL: "mask"}, {**ANN, "filling": "x" * MAX_BODY_BYTES}),
        (
            {"/message/variables": "mask"},
            {"data": {"message": {"variables": [f"ann@example.com {n}" for n in range(200)]}}},
        ),
    ],
)
def test_a_body_that_may_keep_a_value_is_left_out(redact: Mapping[str, str], body: Any) -> None:
    request = shown(redact, body)

    assert request.body == BODY_REMOVED
    assert "ann" not in everything(request)


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_a_body_with_nothing_in_it_stays(body: bytes) -> None:
    assert shown({"/raw/mail": "mask"}, body).body == body


def test_a_header_called_target_is_a_header() -> None:
    request = shown({EMAIL: "mask"}, ANN, headers={"target": "/elsewhere"})

    assert request.target == "/in/acme"
    assert request.headers == [("target", "/elsewhere")]


@pytest.mark.parametrize(
    ("vendor", "redact", "body", "value"),
    [
        (
            "line",
            {"/contact/id": "pseudonym"},
            {"events": [{"type": "follow", "source": {"type": "user", "userId": "U4711-ann"}}]},
            "U4711-ann",
        ),
        (
            "intercom",
            {"/raw/data/item/email": "remove"},
            {"topic": "x.y", "id": "n1", "data": {"item": {"email": "ann@example.com"}}},
            "ann@example.com",
        ),
    ],
)
def test_pointers_lead_where_they_lead_in_events(
    vendor: str, redact: Mapping[str, str], body: Any, value: str
) -> None:
    request = shown(redact, body, vendor=vendors.discover()[vendor])

    assert request.body != BODY_REMOVED
    assert value not in everything(request)
    assert orjson.loads(request.body).keys() == body.keys()


def test_so_they_do_with_a_preset() -> None:
    vendor = generic_source("s3cret", vendor="stripe").vendor
    body = {"id": "evt_1", "type": "charge.succeeded", "data": {"email": "ann@example.com"}}

    request = shown({"/raw/data/email": "mask"}, body, vendor=vendor)

    assert orjson.loads(request.body) == {**body, "data": {"email": "***"}}
