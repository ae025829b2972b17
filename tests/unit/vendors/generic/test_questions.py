"""What `relay send --handshake` asks is what the relay answers."""

from typing import Any

import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.vendors.generic.challenges import CHALLENGES
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.generic_sources import generic_source, hmac_options
from tests.support.rows import for_each
from tests.support.senders import ed25519_keys, raw_hex

SECRET = "s3cret"
NOW = 1_700_000_000.0
TIMED = hmac_options(signed="{timestamp}{body}", timestamp_header="x-time", tolerance_s=60)
TOKEN = {"kind": "token", "header": "x-token"}
KINDS = [kind for kind in CHALLENGES if kind not in {"none", "discord"}]


def asked(kind: str, **challenge: Any) -> tuple[Any, Request]:
    verify = TOKEN if kind in {"okta", "cloudevents"} else TIMED
    source = generic_source(SECRET, verify=verify, challenge={"kind": kind, **challenge})
    question = vendors.handshake(source.vendor, SECRET, NOW)
    assert question is not None
    return source, question.as_received(NOW + 1)


def answered(source: Any, request: Request, *, secrets: Secrets | None = None) -> Any:
    live = secrets or source.secrets
    if request.method == "POST":
        return source.vendor.authenticate(request, live)
    return vendors.answer(source.vendor, request, live)


@for_each(kind=KINDS)
def test_a_question_is_answered(kind: str) -> None:
    source, request = asked(kind)
    question = vendors.handshake(source.vendor, SECRET, NOW)

    answer = answered(source, request)

    assert answer is not None
    assert question.expects is None or answer.body.decode() == question.expects


@pytest.mark.parametrize("kind", ["meta", "graph", "dropbox", "asana"])
def test_a_question_has_its_token(kind: str) -> None:
    source, request = asked(kind, token="t0ken")

    assert answered(source, request) is not None
    with pytest.raises(Unauthenticated):
        answered(
            source,
            request._replace(
                path_secret=None, query_string=request.query_string.replace("t0ken", "x")
            ),
        )


@for_each(kind=["meta", "slack", "zoom", "front", "okta", "cloudevents"])
def test_a_question_is_answered_to_nobody_who_knows_no_secret(kind: str) -> None:
    source, request = asked(kind)

    with pytest.raises(Unauthenticated):
        answered(source, request, secrets=Secrets(["another"]))


def test_who_asks_nothing_makes_no_handshake() -> None:
    source = generic_source(SECRET, verify=TIMED)

    assert vendors.handshake(source.vendor, SECRET, NOW) is None


def test_a_question_that_is_signed_with_a_private_key_can_not_be_asked() -> None:
    source = generic_source(raw_hex(ed25519_keys()[0]), vendor="discord")

    with pytest.raises(ValueError, match="private key"):
        vendors.handshake(source.vendor, source.secrets.values[0], NOW)
