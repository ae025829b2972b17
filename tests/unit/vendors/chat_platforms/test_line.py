"""LINE: signatures, the verification call, batches, and what the samples do not show."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from relay.errors import Malformed, Unauthenticated
from relay.events.event import Data, NormalizedEvent, NotUnderstood
from relay.vendors import line, normalize
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.generic_sources import changed
from tests.support.rows import for_each, for_each_row

SECRET = "channel-secret-1"
SECRETS = Secrets(["channel-secret-0", SECRET])
BODY = b'{"destination":"U1","events":[{"type":"follow","timestamp":1}]}'


def signature_of(body: bytes, secret: str = SECRET) -> str:
    """Sign as the documentation says: base64 of the HMAC-SHA256 of the body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def signed(body: bytes, signature: str | None = None) -> Request:
    return Request(body=body, headers={line.SIGNATURE: signature or signature_of(body)})


def reason_of(request: Request) -> str:
    with pytest.raises(Unauthenticated) as caught:
        line.authenticate(request, SECRETS)
    return caught.value.reason


def test_the_signature_that_the_vendors_own_library_is_tested_with_lets_in() -> None:
    # line/line-bot-sdk-python, tests/v3/test_webhook.py
    request = signed(b"bodybodybodybody", "/gg9a+LvFevTH1sd7XCQycD7tsWclCsInj7MhBHxN7k=")

    assert line.authenticate(request, Secrets(["next", "channel_secret"])) is None


@for_each(body=[BODY, b"", '{"a":"é"}'.encode(), b"\xff\x00"], secret=SECRETS.values)
def test_a_signature_under_any_live_secret_lets_in(body: bytes, secret: str) -> None:
    assert line.authenticate(signed(body, signature_of(body, secret)), SECRETS) is None


def test_every_change_of_body_or_signature_is_refused() -> None:
    for body in changed(BODY):
        assert reason_of(signed(body, signature_of(BODY))) == "signature_wrong"
    for value in changed(signature_of(BODY).encode()):
        assert reason_of(signed(BODY, value.decode("latin-1"))) == "signature_wrong"


@for_each_row(
    ("request_", "reason"),
    [
        (Request(body=BODY), "signature_missing"),
        (signed(BODY, hashlib.sha256(BODY).hexdigest()), "signature_wrong"),
        (signed(BODY, signature_of(BODY).rstrip("=")), "signature_wrong"),
        (signed(BODY, signature_of(BODY, "stranger")), "signature_wrong"),
        (signed(BODY, "\udcff"), "signature_wrong"),
        (
            Request(body=BODY, query_string=f"token={SECRET}", path_secret=SECRET),
            "signature_missing",
        ),
    ],
)
def test_anything_else_is_refused(request_: Request, reason: str) -> None:
    assert reason_of(request_) == reason


@pytest.mark.parametrize(
    "body", [b'{"destination":"U1","events":[]}', b'{ "events" : [ ] }', b'{"events":[],"x":1}']
)
def test_the_verification_call_holds_no_event(body: bytes) -> None:
    assert line.normalize(Request(body=body)) == []


# What was said.


def event(**fields: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "timestamp": 1_692_251_666_727,
        "source": {"type": "user", "userId": "U2"},
        "webhookEventId": "01H810YECXQQZ37VAXPF6H9E6T",
        "deliveryContext": {"isRedelivery": False},
    } | fields


def delivery(*events: Any, **more: Any) -> bytes:
    return json.dumps({"destination": "U1", "events": list(events)} | more).encode()


def found(body: bytes) -> list[NormalizedEvent | NotUnderstood]:
    return list(normalize(line, Request(body=body)))


def only(*events: Any) -> NormalizedEvent:
    (one,) = found(delivery(*events))
    assert isinstance(one, NormalizedEvent)
    return one


def test_a_redelivery_is_the_same_event() -> None:
    first, again = event(), event(deliveryContext={"isRedelivery": True}, replyToken="t2")

    assert only(first).identity == only(again).identity
    assert only(first).raw != only(again).raw


@pytest.mark.parametrize("event_id", [None, "", 1.5, [], {"a": 1}])
def test_an_event_without_an_id_is_another_one_each_time(event_id: Any) -> None:
    assert only(event(webhookEventId=event_id)).identity == "delivery"


def test_equal_messages_with_ids_of_their_own_are_different_events() -> None:
    one, two = found(delivery(event(), event(webhookEventId="01H2")))

    assert isinstance(one, NormalizedEvent)
    assert isinstance(two, NormalizedEvent)
    assert one.identity != two.identity


@for_each_row(
    ("source", "expected"),
    [
        ({"type": "user", "userId": "U2"}, {"contact": {"id": "U2"}}),
        (
            {"type": "group", "groupId": "C1", "userId": "U2"},
            {"conversation": {"id": "C1"}, "contact": {"id": "U2"}},
        ),
        ({"type": "room", "roomId": "R1"}, {"conversation": {"id": "R1"}}),
        ({"type": "group", "groupId": ["C1"], "userId": {"id": 1}}, {}),
        ("user", {}),
        (None, {}),
    ],
)
def test_a_source_is_a_user_a_group_or_a_room(source: Any, expected: Data) -> None:
    data = only(event(source=source)).data

    assert {name: data[name] for name in ("conversation", "contact") if name in data} == expected


@for_each_row(
    ("message", "expected"),
    [
        ({"type": "text", "id": "1", "text": "hi"}, {"id": "1", "kind": "text", "text": "hi"}),
        ({"type": "text", "id": 1, "text": 7}, {"id": "1", "kind": "text"}),
        ({"type": "video", "id": "1", "duration": 6, "contentProvider": {"type": "line"}},
         {"id": "1", "kind": "video", "attachments": [{"id": "1"}]}),
        ({"type": "audio", "id": "", "contentProvider": "line"}, {"kind": "audio"}),
        ({"type": "file", "id": "1", "fileName": 5, "fileSize": -1},
         {"id": "1", "kind": "file", "attachments": [{"id": "1"}]}),
        ({"type": "location", "address": "Tokyo"}, {"kind": "location", "text": "Tokyo"}),
        ({"type": "sticker", "id": "1", "text": "Let's"},
         {"id": "1", "kind": "sticker", "text": "Let's"}),
        ({"type": "new.kind"}, {"kind": "new_kind"}),
        ({}, {"kind": "unknown"}),
        (["text"], {"kind": "unknown"}),
    ],
)  # fmt: skip
def test_a_message_has_a_kind_whatever_is_in_it(message: Any, expected: Data) -> None:
    one = only(event(message=message))

    assert (one.type, one.detail) == ("message.created", expected["kind"])
    assert one.data["message"] == expected


@pytest.mark.parametrize(
    ("postback", "variables"),
    [
        ({"data": "a=b"}, [{"name": "data", "value": "a=b"}]),
        (
            {"data": "x", "params": {"newRichMenuAliasId": "b", "status": "SUCCESS"}},
            [
                {"name": "data", "value": "x"},
                {"name": "newRichMenuAliasId", "value": "b"},
                {"name": "status", "value": "SUCCESS"},
            ],
        ),
        ({"data": None, "params": {"": 1, "a": None}}, None),
        ("a=b", None),
    ],
)
def test_a_postback_has_its_data_as_variables(postback: Any, variables: Any) -> None:
    one = only(event(type="postback", postback=postback))

    assert one.data["message"].get("variables") == variables


@pytest.mark.parametrize(
    "follow", [{"isUnblocked": False}, {}, None, "true", {"isUnblocked": "true"}]
)
def test_a_follower_is_new_unless_unblocked(follow: Any) -> None:
    assert only(event(type="follow", follow=follow)).type == "conversation.created"


@pytest.mark.parametrize(
    "joined", [None, {}, {"members": []}, {"members": "U2"}, {"members": [{}, {}]}]
)
def test_members_that_are_not_one_are_left_to_raw(joined: Any) -> None:
    assert "member" not in only(event(type="memberJoined", joined=joined)).data


@for_each(vendortype=["accountLink", "videoPlayComplete", "membership", "module", "été", "x" * 500])
def test_any_other_event_is_unrecognized(vendortype: str) -> None:
    one = only(event(type=vendortype))

    assert (one.type, one.detail, one.vendortype) == ("unrecognized", vendortype, vendortype)
    assert one.data["contact"] == {"id": "U2"}


# Several events, of which some are odd.

GOOD = event()
TEXT = json.dumps(GOOD).encode()


@for_each_row(
    ("odd", "reason"),
    [
        (b'"x"', "unknown_shape"),
        (b"7", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b"{}", "unknown_shape"),
        (b'{"type":5}', "unknown_shape"),
        (b'{"type":NaN}', "not_json"),
        (b'{"type":"a\nb"}', "not_json"),
        (b"[" * 300 + b"]" * 300, "too_deep"),
    ],
)
def test_an_odd_event_among_good_ones_is_kept_alone(odd: bytes, reason: str) -> None:
    first, second, third = found(b'{"events":[%b,%b , %b]}' % (TEXT, odd, TEXT))

    assert isinstance(first, NormalizedEvent)
    assert second == NotUnderstood(reason=reason, raw=odd)
    assert isinstance(third, NormalizedEvent)
    assert third.raw == TEXT


def test_an_event_that_comes_alone_is_understood() -> None:
    (one,) = found(TEXT)

    assert isinstance(one, NormalizedEvent)
    assert one.raw == TEXT
    assert one.data == {name: value for name, value in only(GOOD).data.items() if name != "account"}


def test_half_an_emoji_is_repaired_in_its_event_alone() -> None:
    half = TEXT.replace(b'"U2"', b'"U\\ud83d"')

    first, second = found(b'{"events":[%b,%b]}' % (TEXT, half))

    assert isinstance(first, NormalizedEvent)
    assert isinstance(second, NormalizedEvent)
    assert (first.is_repaired, second.is_repaired) == (False, True)
    assert second.data["contact"] == {"id": "U\ufffd"}


@for_each_row(
    ("body", "reason"),
    [
        (b"{}", "unknown_shape"),
        (b"[]", "unknown_shape"),
        (b'{"events":null}', "unknown_shape"),
        (b'{"events":{"a":[1]}}', "unknown_shape"),
        (b'{"events":[1,"x"]}', "unknown_shape"),
        (b'{"events":[%b],"events":[]}' % TEXT, "unknown_shape"),
        (b'{"a":{"events":[%b]},"events":[]}' % TEXT, "unknown_shape"),
        (b'{"events":[%b]' % TEXT, "not_json"),
        (b'{"events":[NaN]}', "not_json"),
        (b"events=1", "not_json"),
        (b'{"events":[' + b"1," * 10_000 + b"1]}", "too_many_events"),
    ],
)
def test_what_is_not_understood_at_all_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        normalize(line, Request(body=body))

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        b'{"zz":{"events":[null]},"events":[{"type":"follow"}]}',
        b'{"events":[{"type":"follow"}],"zz":[{"events":[1,2]}]}',
        b'{"\\u0065vents":[{"type":"follow"}]}',
        b'{"zz":{"events":[{"type":"join"}]},"events":[{"type":"follow","n":NaN},{"type":"follow"}]}',
    ],
)
def test_another_array_of_that_name_is_none_of_the_deliverys(body: bytes) -> None:
    found = line.normalize(Request(body=body))

    vendortypes = [event.vendortype for event in found if isinstance(event, NormalizedEvent)]
    assert vendortypes == ["follow"]
