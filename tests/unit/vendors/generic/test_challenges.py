"""What senders ask, and what they read; and what nobody reads who has proved nothing."""

import base64
import hmac
from typing import Any

import orjson
import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.ingress.processing import Source
from relay.vendors.kit.request import Answer, Request
from tests.support.generic_sources import generic_source, hmac_options
from tests.support.rows import for_each
from tests.support.senders import SENDERS, ed25519_keys, raw_hex

SECRET = "s3cret"
HTML = "<script>alert(1)</script>"


def get(query: str = "", method: str = "GET", **fields: Any) -> Request:
    return Request(body=b"", query_string=query, method=method, **fields)


def asked(source: Source, request: Request) -> Answer | None:
    return vendors.answer(source.vendor, request, source.secrets)


def posted(source: Source, request: Request) -> Answer | None:
    return source.vendor.authenticate(request, source.secrets)


def signed(name: str, body: bytes) -> Request:
    sender = SENDERS[name]
    headers = {"content-type": "application/json", **sender.headers(body, 1, 1_700_000_000)}
    return Request(body=body, headers=headers, received_at=1_700_000_000.0)


def preset(name: str, **options: Any) -> Source:
    return generic_source(*SENDERS[name].secrets, vendor=name, **options)


META = "hub.mode=subscribe&hub.verify_token={}&hub.challenge={}"


@pytest.mark.parametrize("tokens", ["v3rify", ["old", "v3rify"]])
def test_meta_reads_its_challenge_only_with_its_own_token(tokens: Any) -> None:
    source = preset("meta", challenge={"token": tokens})

    answer = asked(source, get(META.format("v3rify", "115&a=b")))

    assert answer == Answer(body=b"115")
    for token in ("guess", "", SENDERS["meta"].secrets[0], "v3rify%00"):
        with pytest.raises(Unauthenticated):
            asked(source, get(META.format(token, "115")))
    assert (
        asked(source, get("hub.mode=unsubscribe&hub.verify_token=v3rify&hub.challenge=1")) is None
    )
    assert asked(source, get(META.format("v3rify", ""))) is None
    assert asked(source, get(META.format("v3rify", "1"), method="OPTIONS")) is None
    twice = META.format("v3rify", "1") + "&hub.challenge=2"
    assert asked(source, get(twice)) is None


def test_meta_without_a_token_of_its_own_uses_the_secrets() -> None:
    source = generic_source("one", "two", preset="meta")

    assert asked(source, get(META.format("two", "115"))) == Answer(body=b"115")
    assert asked(source, get(META.format("two", "115"), method="HEAD")) == Answer(body=b"115")
    with pytest.raises(Unauthenticated):
        asked(source, get(META.format("three", "115")))


def test_slack_reads_its_challenge_if_it_signed_it() -> None:
    body = orjson.dumps({"type": "url_verification", "challenge": HTML})

    assert posted(preset("slack"), signed("slack", body)) == Answer(body=HTML.encode())
    with pytest.raises(Unauthenticated):
        posted(preset("slack"), Request(body=body))
    event = orjson.dumps({"type": "event_callback", "text": "url_verification"})
    assert posted(preset("slack"), signed("slack", event)) is None


@pytest.mark.parametrize("number", [0, 1])
def test_zoom_reads_a_digest_by_the_secret_that_signed_the_question(number: int) -> None:
    document = {"event": "endpoint.url_validation", "payload": {"plainToken": "q0"}}
    body = orjson.dumps(document)
    sender = SENDERS["zoom"]
    headers = sender.headers(body, number, 1_700_000_000)

    answer = posted(preset("zoom"), Request(body=body, headers=headers))

    digest = hmac.new(sender.secrets[number].encode(), b"q0", "sha256").hexdigest()
    assert answer is not None
    assert orjson.loads(answer.body) == {"plainToken": "q0", "encryptedToken": digest}
    assert answer.content_type == "application/json"
    with pytest.raises(Unauthenticated):
        posted(preset("zoom"), Request(body=body))


def test_x_reads_the_digest_of_its_token() -> None:
    source = generic_source(SECRET, "next", vendor="x")

    answer = asked(source, get("crc_token=abc-DEF_123=&nonce=x"))

    digest = base64.b64encode(hmac.new(SECRET.encode(), b"abc-DEF_123=", "sha256").digest())
    assert answer is not None
    assert orjson.loads(answer.body) == {"response_token": f"sha256={digest.decode()}"}


@for_each(
    token=["", "%7B%22a%22%3A1%7D", "%5B1%5D", "a%20b", "%22a%22", "a" * 257, "%0D%0A", "a=b&c"]
)
def test_nobody_has_x_sign_an_event_of_their_own(token: str) -> None:
    source = generic_source(SECRET, vendor="x")

    answer = asked(source, get(f"crc_token={token}"))

    assert answer is None or b"sha256" in answer.body
    text = "forged-by-anyone=="
    digest = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), "sha256").digest()).decode()
    headers = {"x-twitter-webhooks-signature": f"sha256={digest}"}
    with pytest.raises(Unauthenticated):
        posted(source, Request(body=text.encode(), headers=headers))


def test_graph_is_answered_by_name_alone_or_with_a_token_in_the_url() -> None:
    query = "validationToken=Validation%3a+Testing+%26"
    source = preset("msgraph")

    answer = posted(source, Request(body=b"", query_string=query))

    assert answer == Answer(body=b"Validation: Testing &")
    guarded = preset("msgraph", challenge={"token": "in-the-url"})
    with pytest.raises(Unauthenticated):
        posted(guarded, Request(body=b"", query_string=query))
    for place in ({"path_secret": "in-the-url"}, {"query_string": f"{query}&token=in-the-url"}):
        fields = {"body": b"", "query_string": query} | place
        assert posted(guarded, Request(**fields)) == answer
    with pytest.raises(Unauthenticated):  # no other sender reflects it
        posted(preset("gitlab"), Request(body=b"", query_string=query))


def test_dropbox_and_asana_are_asked_for_by_name_and_may_have_a_token_in_the_url() -> None:
    verify = hmac_options("x-dropbox-signature")
    dropbox = generic_source(SECRET, verify=verify, challenge={"kind": "dropbox", "token": "t0ken"})
    asana = generic_source(SECRET, verify=verify, challenge={"kind": "asana", "token": "t0ken"})
    question = Request(body=b"", headers={"x-hook-secret": "hook-1"})

    assert asked(dropbox, get("challenge=abc", path_secret="t0ken")) == Answer(body=b"abc")
    answer = posted(asana, question._replace(path_secret="t0ken"))
    assert answer == Answer(headers=(("X-Hook-Secret", "hook-1"),))
    with pytest.raises(Unauthenticated):
        asked(dropbox, get("challenge=abc", path_secret="guess"))
    with pytest.raises(Unauthenticated):
        posted(asana, question)
    by_name = generic_source(SECRET, verify=verify, challenge="dropbox")
    assert asked(by_name, get("challenge=abc")) == Answer(body=b"abc")


@for_each(value=["a b", "a\r\nX: y", "\u00e9", "", "a" * 1025, "\udcff"])
def test_no_hook_secret_breaks_out_of_its_header(value: str) -> None:
    source = generic_source(SECRET, verify=hmac_options(), challenge="asana")

    with pytest.raises(Unauthenticated):
        posted(source, Request(body=b"", headers={"x-hook-secret": value}))


OKTA = {"kind": "token", "header": "authorization"}


def test_okta_reads_its_challenge_with_the_token_of_its_events() -> None:
    source = generic_source(SECRET, verify=OKTA, challenge="okta")
    headers = {"x-okta-verification-challenge": 'a"b', "authorization": SECRET}

    answer = asked(source, get(headers=headers))

    assert answer is not None
    assert orjson.loads(answer.body) == {"verification": 'a"b'}
    with pytest.raises(Unauthenticated):
        asked(source, get(headers=headers | {"authorization": "guess"}))
    assert asked(source, get()) is None


def test_cloudevents_reads_that_its_origin_may_send() -> None:
    source = generic_source(SECRET, vendor="cloudevents")
    headers = {"webhook-request-origin": "events.example.com", "webhook-request-rate": "120"}
    question = get(f"access_token={SECRET}", method="OPTIONS", headers=headers)

    answer = asked(source, question)

    assert answer is not None
    assert dict(answer.headers) == {
        "WebHook-Allowed-Origin": "events.example.com",
        "WebHook-Allowed-Rate": "120",
        "Allow": "OPTIONS, POST",
    }
    with pytest.raises(Unauthenticated):
        asked(source, question._replace(query_string=""))
    for origin in ("", "a b", "a\r\nb", HTML, "\u00e9", "a" * 254):
        odd = question._replace(headers={"webhook-request-origin": origin})
        assert asked(source, odd) is None
    assert asked(source, question._replace(method="GET")) is None


def test_discord_reads_a_pong_if_it_signed_the_ping() -> None:
    key, source = ed25519_keys()[0], generic_source(raw_hex(ed25519_keys()[0]), vendor="discord")

    def sent(body: bytes, *, is_signed: bool = True) -> Request:
        signature = key.sign(b"1700000000" + body) if is_signed else bytes(64)
        headers = {"x-signature-ed25519": signature.hex(), "x-signature-timestamp": "1700000000"}
        return Request(body=body, headers=headers)

    answer = posted(source, sent(b'{"type":1}'))

    assert answer == Answer(body=b'{"type":1}', content_type="application/json")
    with pytest.raises(Unauthenticated):
        posted(source, sent(b'{"type":1}', is_signed=False))
    for body in (
        b'{"type":2}',
        b'{"type":true}',
        b'{"type":"1"}',
        b'{"type":1,"event":{}}',
        b"[1]",
    ):
        assert posted(source, sent(body)) is None


def test_front_reads_its_challenge_if_it_signed_the_question() -> None:
    request = signed("front", b"{}")
    question = request._replace(headers={**request.headers, "x-front-challenge": "abc"})

    assert posted(preset("front"), question) == Answer(body=b"abc")
    assert posted(preset("front"), request) is None
    with pytest.raises(Unauthenticated):
        posted(preset("front"), Request(body=b"{}", headers={"x-front-challenge": "abc"}))


@pytest.mark.parametrize("size", [1024, 1025])
def test_an_answer_reflects_at_most_1024_bytes(size: int) -> None:
    text = "a" * size
    found = [
        asked(generic_source(SECRET, preset="meta"), get(META.format(SECRET, text))),
        asked(generic_source(SECRET, verify=OKTA, challenge="dropbox"), get(f"challenge={text}")),
        posted(preset("slack"), signed("slack", orjson.dumps(
            {"type": "url_verification", "challenge": text}))),
        posted(preset("zoom"), signed("zoom", orjson.dumps(
            {"event": "endpoint.url_validation", "payload": {"plainToken": text}}))),
    ]  # fmt: skip

    assert [answer is not None for answer in found] == [size == 1024] * 4
    assert all(answer is None or len(answer.body) < 1200 for answer in found)


@for_each(method=["GET", "HEAD", "OPTIONS"], kind=["none", "slack", "zoom", "discord", "front"])
def test_who_asks_nothing_in_this_way_is_told_nothing(kind: str, method: str) -> None:
    source = generic_source(SECRET, verify=hmac_options(), challenge={"kind": kind})
    query = META.format(SECRET, "1") + "&challenge=1&crc_token=1&validationToken=1"

    assert asked(source, get(query, method=method)) is None
