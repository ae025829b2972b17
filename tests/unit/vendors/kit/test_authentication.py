"""Secrets and signatures: who is let in, and that a secret shows nowhere."""

import base64
import hmac
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Unauthenticated
from relay.vendors.kit.authentication import (
    Secrets,
    base64_signature_of,
    require_secret,
    require_signature,
    signature_of,
    signature_to_check,
)
from tests.support.rows import for_each

SECRETS = Secrets(["old", "new é"])


@pytest.mark.parametrize("candidates", [["old"], ["new é"], ["", "x", "old"], ["old", "x"]])
def test_any_live_secret_among_the_candidates_lets_in(candidates: list[str]) -> None:
    require_secret(candidates, SECRETS)


@for_each(
    candidates=[
        [],
        [""],
        ["ol"],
        ["oldd"],
        ["OLD"],
        ["old "],
        ["oldnew é"],
        ["new \ufffd"],
        ["\udcff"],
    ]
)
def test_no_other_candidate_lets_in(candidates: list[str]) -> None:
    with pytest.raises(Unauthenticated):
        require_secret(candidates, SECRETS)


def test_without_secrets_everyone_is_let_in() -> None:
    require_secret([], Secrets([]))
    require_signature(None, [], Secrets([]))


def test_a_signature_is_the_hex_hmac_sha256_of_the_body() -> None:
    known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    body = b"The quick brown fox jumps over the lazy dog"

    assert signature_of(body, "key") == known
    assert hmac.new("é".encode(), body, sha256).hexdigest() == signature_of(body, "é")


@pytest.mark.parametrize("secret", ["old", "new é"])
@pytest.mark.parametrize("bodies", [[b"body"], [b"other", b"body"]])
def test_a_signature_under_any_live_secret_of_any_reading_lets_in(
    secret: str, bodies: list[bytes]
) -> None:
    signature = signature_of(b"body", secret)

    require_signature(signature, bodies, SECRETS)
    require_signature(signature.upper(), bodies, SECRETS)


@for_each(
    signature=[
        None,
        "",
        "old",
        signature_of(b"body", "older"),
        signature_of(b"body ", "old"),
        signature_of(b"body", "old")[1:],
        signature_of(b"body", "old") + " ",
        "\udcff",
        "é" * 64,
    ]
)
def test_no_other_signature_lets_in(signature: str | None) -> None:
    with pytest.raises(Unauthenticated):
        require_signature(signature, [b"body"], SECRETS)


def test_a_later_reading_is_only_made_when_it_is_needed() -> None:
    def readings() -> Iterator[bytes]:
        yield b"body"
        raise AssertionError("the first reading had matched")

    require_signature(signature_of(b"body", "old"), readings(), SECRETS)


def test_secrets_tell_how_many_they_are_and_nothing_else() -> None:
    shown = f"{SECRETS} {SECRETS!r}"

    assert shown == "Secrets(2 hidden) Secrets(2 hidden)"
    with pytest.raises(Unauthenticated) as caught:
        require_secret(["guess"], SECRETS)
    assert not any(secret in str(caught.value) for secret in ("old", "new", "guess"))


@given(secret=st.text(min_size=1), candidate=st.text(st.characters()))
def test_only_an_equal_text_matches(secret: str, candidate: str) -> None:
    secrets = Secrets(["another", secret])

    assert secrets.matches(secret)
    assert secrets.matches(candidate) == (candidate in {"another", secret})
    assert secrets.has_signed(signature_of(secret.encode(), secret), secret.encode())
    assert not secrets.has_signed(candidate, b"body")


def test_a_base64_signature_is_of_the_same_digest() -> None:
    digest = hmac.new(b"old", b"body", sha256).digest()

    assert base64.b64decode(base64_signature_of(b"body", "old"), validate=True) == digest


@pytest.mark.parametrize(
    ("candidates", "signature", "expected"),
    [
        (["old"], None, None),
        (["stranger", "old"], "of anyone", None),
        (["stranger"], "of anyone", "of anyone"),
        ([], "", ""),
        ([""], "of anyone", "of anyone"),
    ],
)
def test_a_secret_in_the_url_needs_no_signature_beside_it(
    candidates: list[str], signature: str | None, expected: str | None
) -> None:
    assert signature_to_check(candidates, signature, SECRETS) == expected
    assert signature_to_check(candidates, signature, Secrets([])) is None


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        (["stranger"], "token_wrong"),
        (["", "stranger"], "token_wrong"),
        ([], "signature_missing"),
        ([""], "signature_missing"),
    ],
)
def test_neither_secret_nor_signature_is_refused(candidates: list[str], reason: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        signature_to_check(candidates, None, SECRETS)

    assert caught.value.reason == reason
