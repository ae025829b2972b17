"""Signatures of forwarded events, checked by the official package of Standard Webhooks."""

import base64
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from consumers.forward.signature import key_of, signed_headers
from tests.support.rows import for_each

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"id":"a","text":"h\u00e9"}'.encode()

keys = st.binary(min_size=24, max_size=64)


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def test_it_is_the_signature_of_the_specifications_own_library() -> None:
    # From the test suite of the package: a known secret, id, timestamp and payload.
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', keys=[key], now=1614265330.9
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(key=keys, text=st.text(max_size=200))
def test_the_official_package_verifies_what_was_signed(key: bytes, text: str) -> None:
    body = text.encode(errors="replace")

    headers = signed_headers("e-1", body, keys=[key], now=time.time())

    Webhook(secret_of(key)).verify(body, headers, json_parse=False)


@given(old=keys, new=keys)
def test_during_a_rotation_either_secret_verifies(old: bytes, new: bytes) -> None:
    headers = signed_headers("e-1", BODY, keys=[old, new], now=time.time())

    assert len(headers["webhook-signature"].split(" ")) == 2
    for key in (old, new):
        Webhook(secret_of(key)).verify(BODY, headers)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_a_changed_header_does_not_verify(name: str) -> None:
    now = time.time()
    headers = signed_headers("e-1", BODY, keys=[KEY], now=now)
    others = signed_headers("e-2", BODY, keys=[KEY], now=now + 60)

    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(SECRET).verify(BODY, headers | {name: others[name]})


def test_another_secret_does_not_verify() -> None:
    headers = signed_headers("e-1", BODY, keys=[KEY], now=time.time())

    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(secret_of(KEY[::-1])).verify(BODY, headers)


@pytest.mark.parametrize("webhook_id", ["e97232cc", "urn:x-1:2", "~" * 255])
def test_an_id_of_visible_characters_is_sent_as_it_is(webhook_id: str) -> None:
    headers = signed_headers(webhook_id, BODY, keys=[KEY], now=0)

    assert headers["webhook-id"] == webhook_id


@for_each(webhook_id=["", "a.b", ".", "a b", "a\r\nx: y", "\u00e9", "x" * 256])
def test_an_id_that_is_unsafe_in_a_header_or_a_signature_is_refused(webhook_id: str) -> None:
    with pytest.raises(ValueError, match="webhook-id"):
        signed_headers(webhook_id, BODY, keys=[KEY], now=0)


@given(key=keys)
def test_a_secret_stands_for_its_bytes_with_and_without_padding(key: bytes) -> None:
    assert key_of(secret_of(key)) == key
    assert key_of(secret_of(key).rstrip("=")) == key


@for_each(
    secret=[
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET.replace("whsec_", "whsk_"),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_" + base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        SECRET + "\u00e9",
        quote(SECRET, safe=""),
        f"{SECRET[:20]} {SECRET[20:]}",
    ]
)
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_ and") as caught:
        key_of(secret)

    assert not secret or secret not in str(caught.value).replace("whsec_ and", "")
