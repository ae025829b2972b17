"""`headers` and `ignore` of a source: what goes along with its events, and which go nowhere."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from relay import vendors
from relay.events import ignored_types, request_headers
from relay.events.amqp import properties_head, source_in
from relay.events.message import Message, Origin
from relay.events.source_rules import SourceRules
from relay.ingress.http_response import accepted_response
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

SWIFTSELL = vendors.discover()["swiftsell"]
TYPES = vendors.types(SWIFTSELL)
ELEMENTS = {
    "note": b'{"event":{"type":"note"}}',
    "typing": b'{"event":{"type":"Typing.On"}}',
    "seen": b'{"event":{"type":"seen"}}',
    "text": b'{"event":{"type":"message","payload":{"message":{"type":"text"}}}}',
}


def processed(*elements: str | bytes, **rules: Any) -> ProcessedDelivery:
    source = Source(
        origin=Origin(vendor="swiftsell", source="acme"),
        vendor=SWIFTSELL,
        secrets=Secrets(["tok-1"]),
        rules=SourceRules(**rules) if rules else None,
    )
    parts = [ELEMENTS[each] if isinstance(each, str) else each for each in elements]
    body = b'{"events":[' + b",".join(parts) + b"]}"
    request = Request(body=body, headers={"authorization": "tok-1"})
    return process_delivery(request, source, 1.5, "d1")


def headers_of(message: Message) -> dict[str, Any]:
    properties = commands.Basic.Properties()
    properties.unmarshal(int.from_bytes(message.properties[:2]), message.properties[2:])
    return dict(properties.headers or {})


@for_each_row(
    ("patterns", "published"),
    [
        (["note.created"], ["typing", "seen", "text"]),
        (["unrecognized.typing*"], ["note", "seen", "text"]),
        (["unrecognized"], ["note", "text"]),
        (["message.*"], ["note", "typing", "seen"]),
        (["message.created.text"], ["note", "typing", "seen"]),
        (["message.created.image"], ["note", "typing", "seen", "text"]),
        (["*.?een", "n*"], ["typing", "text"]),
        (["*"], []),
    ],
)
def test_what_a_pattern_matches_gets_an_id_and_goes_nowhere(
    patterns: list[str], published: list[str]
) -> None:
    everything = processed(*ELEMENTS)
    ids = dict(zip(ELEMENTS, [message.id for message in everything.messages], strict=True))

    found = processed(*ELEMENTS, ignored=ignored_types.pattern_of(patterns, TYPES))

    assert [message.id for message in found.messages] == [ids[each] for each in published]
    assert list(found.ignored) == [ids[each] for each in ELEMENTS if each not in published]
    assert len(found.types) == len(published)
    answer = orjson.loads(accepted_response(found, "json").body)
    assert answer["status"] == "accepted"
    assert answer["events"] == [ids[each] for each in published]
    assert answer.get("ignored", []) == list(found.ignored)


def test_what_is_not_understood_is_quarantined_alone_beside_what_is_ignored() -> None:
    found = processed("note", b"NaN", ignored=ignored_types.pattern_of(["note.*"], TYPES))

    assert (found.reason, found.reasons, len(found.ignored)) == (None, ("not_json",), 1)
    assert [message.is_quarantined for message in found.messages] == [True]


@for_each(
    pattern=[
        "note.create",
        "nope.*",
        "Note.created",
        "",
        "message.created.Text",
        "unrecognised*",
        "x" * 300,
    ]
)
def test_a_pattern_that_can_match_nothing_is_a_problem(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"matches no type|at most"):
        ignored_types.pattern_of(["note.created", pattern], TYPES)


def with_headers(names: tuple[str, ...], headers: dict[str, str]) -> list[dict[str, Any]]:
    source = Source(
        origin=Origin(vendor="swiftsell", source="acme"),
        vendor=SWIFTSELL,
        secrets=Secrets(["tok-1"]),
        rules=SourceRules(headers=names),
    )
    request = Request(
        body=b'{"events":[NaN,{"event":{"type":"note"}}]}',
        headers={"authorization": "tok-1"} | headers,
    )
    messages = process_delivery(request, source, 1.5, "d1").messages
    return [
        {name: value for name, value in headers_of(each).items() if name.startswith("http-")}
        for each in messages
    ]


@for_each_row(
    ("value", "sent"),
    [
        ("Hook/1", "Hook/1"),
        ("a\udcff", "a?"),
        ("é" * 2000, "é" * 512),
        ("", ""),
        ("Bearer tok-1", None),
        ("a=%74ok-1", None),
    ],
)
def test_a_header_goes_along_unless_it_has_a_live_secret(value: str, sent: str | None) -> None:
    found = with_headers(("x-hook", "x-absent"), {"x-hook": value, "x-other": "o"})

    assert found == [{} if sent is None else {"http-x-hook": sent}] * 2


@for_each(
    name=[
        *("Authorization", "proxy-authorization", "Cookie", "set-cookie", "X-Gitlab-Token"),
        *("stripe-signature", "x-hub-signature-256", "x-shopify-hmac-sha256", "x-api-key"),
        *("X-APIKEY", "x-auth", "x-password", "x-client-secret", "x-session-id", "x-amz-jwt"),
        *("a b", "", "x:y", "é", "x" * 65, "x\r\ny"),
    ]
)
def test_a_header_that_may_hold_a_credential_is_a_problem(name: str) -> None:
    with pytest.raises(ValueError, match=r"no name of a header|may hold a credential") as caught:
        request_headers.names_of(["user-agent", name])

    assert repr(name.lower()) in str(caught.value)
    assert "user-agent" not in str(caught.value)


def test_only_so_many_headers_go_along() -> None:
    assert request_headers.names_of(["A", "a", "X-Author"]) == ("a", "x-author")
    with pytest.raises(ValueError, match="more than 16"):
        request_headers.names_of([f"x-{number}" for number in range(17)])


@given(
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True),
    st.dictionaries(
        st.from_regex(r"http-[a-z0-9-]{1,64}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
        max_size=4,
    ),
)
def test_the_source_of_a_message_is_read_from_its_properties(
    source: str, headers: dict[str, str]
) -> None:
    for given_headers in ({"vendor": "v", "source": source} | headers, {"source": source}):
        assert source_in(properties_head(given_headers)) == source

    assert source_in(properties_head({"vendor": "v"})) is None
