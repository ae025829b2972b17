"""Meta: who signed a delivery, and the challenge."""

import hashlib
import hmac
from urllib.parse import urlencode

import pytest

from relay.errors import Unauthenticated
from relay.vendors import meta
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Answer, Request
from tests.support.generic_sources import changed
from tests.support.rows import for_each, for_each_row

APP_SECRET, VERIFY_TOKEN = "0123456789abcdef0123456789abcdef", "v3rify-me"
SECRETS = Secrets([VERIFY_TOKEN, APP_SECRET])
BODY = b'{"object":"page","entry":[{"id":"1","messaging":[{"sender":{"id":"2"},"read":{}}]}]}'


def signature_of(body: bytes, secret: str = APP_SECRET) -> str:
    """Sign as the documentation says: sha256= and the hex HMAC-SHA256 of the body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def signed(body: bytes, signature: str | None = None) -> Request:
    return Request(body=body, headers={meta.SIGNATURE: signature or signature_of(body)})


def reason_of(request: Request) -> str:
    with pytest.raises(Unauthenticated) as caught:
        meta.authenticate(request, SECRETS)
    return caught.value.reason


@pytest.mark.parametrize(
    "body", [BODY, b"", b'{"a":"\\u00e9 \\ud83d\\ude00 \\/"}', '{"a":"é"}'.encode(), b"\xff\x00"]
)
def test_a_signature_of_the_bytes_lets_in(body: bytes) -> None:
    assert meta.authenticate(signed(body), SECRETS) is None


def test_every_change_of_body_or_signature_is_refused() -> None:
    for body in changed(BODY):
        assert reason_of(signed(body, signature_of(BODY))) == "signature_wrong"
    for value in changed(signature_of(BODY).encode()):
        assert reason_of(signed(BODY, value.decode("latin-1"))) == "signature_wrong"


@for_each_row(
    ("request_", "reason"),
    [
        (Request(body=BODY), "signature_missing"),
        (signed(BODY, signature_of(BODY).removeprefix("sha256=")), "signature_wrong"),
        (signed(BODY, "sha1=" + hmac.new(APP_SECRET.encode(), BODY, "sha1").hexdigest()),
         "signature_wrong"),
        (signed(BODY, signature_of(BODY, "stranger")), "signature_wrong"),
        (Request(body=BODY, headers={"x-hub-signature": signature_of(BODY)}), "signature_missing"),
        (Request(body=BODY, query_string=f"hub.verify_token={VERIFY_TOKEN}"), "signature_missing"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(request_: Request, reason: str) -> None:
    assert reason_of(request_) == reason


# The challenge.


def asked(method: str = "GET", secrets: Secrets = SECRETS, **query: str) -> Answer | None:
    names = {"mode": "subscribe", "verify_token": VERIFY_TOKEN, "challenge": "1158201444"} | query
    text = urlencode({f"hub.{name}": value for name, value in names.items()})
    return meta.answer(Request(body=b"", method=method, query_string=text), secrets)


@pytest.mark.parametrize("challenge", ["1158201444", "a b&c=d", "<script>", "é", "x" * 1024])
def test_the_challenge_is_read_back_as_it_came(challenge: str) -> None:
    assert asked(challenge=challenge) == Answer(body=challenge.encode())


@pytest.mark.parametrize("token", ["", "v3rify-m", "v3rify-me ", "V3RIFY-ME", "stranger"])
def test_another_verify_token_reads_nothing_back(token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        asked(verify_token=token)

    assert caught.value.reason == ("token_wrong" if token else "token_missing")


@pytest.mark.parametrize("token", ["old-token", VERIFY_TOKEN])
def test_a_verify_token_may_be_any_live_secret(token: str) -> None:
    assert asked(secrets=Secrets(["old-token", VERIFY_TOKEN]), verify_token=token)


@for_each(
    question=[
        {"mode": "unsubscribe"},
        {"mode": ""},
        {"challenge": ""},
        {"challenge": "x" * 1025},
        {"method": "HEAD"},
        {"method": "OPTIONS"},
    ]
)
def test_any_other_question_is_none(question: dict[str, str]) -> None:
    assert asked(**question) is None
