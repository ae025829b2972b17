"""Chatwoot: signatures, and secrets in the URL of installations that do not sign."""

import hashlib
import hmac
from typing import Any

import pytest

from relay.errors import Unauthenticated
from relay.vendors import chatwoot
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each, for_each_row

SECRET = "cw-secret-1"
NOW = 1_760_000_000
BODY = '{"event":"message_created","id":1,"content":"Grüße"}'.encode()


def signed(body: bytes = BODY, secret: str = SECRET, at: str = str(NOW), **more: Any) -> Request:
    """Return a request as the pull request that brought signatures says it is made."""
    message = at.encode() + b"." + body
    signature = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    headers = {"x-chatwoot-signature": f"sha256={signature}", "x-chatwoot-timestamp": at}
    return Request(body=body, headers=headers, **more)


def reason_of(request: Request, *secrets: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        chatwoot.authenticate(request, Secrets(secrets or [SECRET]))
    return caught.value.reason


def with_header(request: Request, name: str, value: str | None) -> Request:
    headers = {key: text for key, text in request.headers.items() if key != name}
    return request._replace(headers=headers if value is None else {**headers, name: value})


def test_what_another_signs_is_let_in_under_each_live_secret() -> None:
    for live in ([SECRET], ["next", SECRET], [SECRET, "next"]):
        chatwoot.authenticate(signed(), Secrets(live))
    assert reason_of(signed(), "next") == "signature_wrong"


def test_what_we_sign_another_would_have_signed_so() -> None:
    request = chatwoot.sign(BODY, SECRET, NOW + 0.9)

    expected = signed().headers
    assert {name: request.headers[name] for name in expected} == expected


@for_each(place=range(len(BODY)), change=[1, 32, 128])
def test_a_body_with_one_byte_changed_is_refused(place: int, change: int) -> None:
    forged = bytearray(BODY)
    forged[place] ^= change

    assert reason_of(signed()._replace(body=bytes(forged))) == "signature_wrong"


@for_each(place=range(len(str(NOW))))
def test_a_time_with_one_digit_changed_is_refused(place: int) -> None:
    digits = str(NOW)
    other = digits[:place] + str((int(digits[place]) + 1) % 9 + 1) + digits[place + 1 :]

    forged = with_header(signed(), "x-chatwoot-timestamp", other)

    assert reason_of(forged) == "signature_wrong"


@for_each(place=range(len("sha256=") + 64))
def test_a_signature_with_one_character_changed_is_refused(place: int) -> None:
    value = signed().headers["x-chatwoot-signature"]
    other = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]

    reason = reason_of(with_header(signed(), "x-chatwoot-signature", other))

    assert reason in {"signature_wrong", "signature_malformed"}


@for_each_row(
    ("name", "value", "reason"),
    [
        ("x-chatwoot-signature", None, "signature_missing"),
        ("x-chatwoot-signature", "", "signature_malformed"),
        ("x-chatwoot-signature", "sha1=00", "signature_malformed"),
        ("x-chatwoot-signature", "sha256=", "signature_wrong"),
        ("x-chatwoot-signature", "sha256=é", "signature_wrong"),
        ("x-chatwoot-timestamp", None, "timestamp_missing"),
        *(
            ("x-chatwoot-timestamp", value, "timestamp_malformed")
            for value in ["", " 1", "-1", "+1", "01", "1.5", "1e3", "²", "9" * 15, "abc"]
        ),
    ],
)
def test_what_is_missing_or_malformed_is_told_apart(
    name: str, value: str | None, reason: str
) -> None:
    assert reason_of(with_header(signed(), name, value)) == reason


@for_each_row(
    ("received_at", "reason"),
    [
        (None, None),
        (NOW + 0.5, None),
        (NOW + 299.0, None),
        (NOW - 299.0, None),
        (NOW + 301.0, "too_old"),
        (NOW - 301.0, "too_new"),
    ],
)
def test_a_signature_is_good_for_five_minutes(
    received_at: float | None, reason: str | None
) -> None:
    request = signed(received_at=received_at)

    if reason:
        assert reason_of(request) == reason
    else:
        chatwoot.authenticate(request, Secrets([SECRET]))


def test_a_secret_in_the_url_is_enough_where_nothing_is_signed() -> None:
    live = Secrets([SECRET])

    chatwoot.authenticate(Request(body=BODY, path_secret=SECRET), live)
    chatwoot.authenticate(Request(body=BODY, query_string=f"token={SECRET}"), live)
    chatwoot.authenticate(signed(secret="another", path_secret=SECRET), live)
    assert reason_of(Request(body=BODY, path_secret="guess")) == "token_wrong"
    assert reason_of(Request(body=BODY, query_string="token=guess")) == "token_wrong"
    assert reason_of(signed(secret="another", path_secret="guess")) == "signature_wrong"
    assert reason_of(Request(body=BODY)) == "signature_missing"
