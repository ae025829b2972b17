"""Senders by settings, over real HTTP: events, questions, refusals, and large bodies."""

import base64
import hmac
import time

import orjson
import pytest
from structlog.testing import capture_logs

from relay.events.message import Origin
from relay.ingress.processing import Source
from tests.integration.conftest import Running, Start, problem
from tests.support.generic_sources import generic_source, hmac_options

SECRET = "s3cret-of-acme"
TIMED = hmac_options(
    "x-signature",
    signed="{timestamp}.{body}",
    value="v1={signature}",
    separator=",",
    timestamp_field="t",
)
EVENT = {"type": "/type", "id": "/id"}


def signature(body: bytes, age_s: int = 0, secret: str = SECRET) -> dict[str, str]:
    now = int(time.time()) - age_s
    made = hmac.new(secret.encode(), b"%d.%b" % (now, body), "sha256").hexdigest()
    return {"X-Signature": f"t={now},v1={made}"}


def acme(**options: object) -> Source:
    return generic_source("another", SECRET, **{"verify": TIMED, "event": EVENT, **options})


async def keys(relay: Running) -> list[str]:
    return [row.message.routing_key for row in await relay.stored()]


async def test_a_signed_delivery_becomes_an_event(start: Start) -> None:
    relay = await start(acme())
    body = b'{"type":"order.paid","id":"e1"}'

    answer = await relay.post("/in/acme", body, headers=signature(body))

    assert answer.status == 200
    assert orjson.loads(answer.body)["status"] == "accepted"
    assert await keys(relay) == ["generic.received.order_paid"]


@pytest.mark.parametrize("size", [10, 70_000])
async def test_a_large_delivery_is_understood_in_the_other_process_just_so(
    start: Start, size: int
) -> None:
    relay = await start(acme(), body_limit_bytes=1_000_000)
    body = orjson.dumps({"type": "big", "id": "e1", "text": "x" * size})

    answer = await relay.post("/in/acme", body, headers=signature(body))
    forged = await relay.post("/in/acme", body, headers=signature(body, secret="guess"))

    assert (answer.status, forged.status) == (200, 401)
    assert await keys(relay) == ["generic.received.big"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "signature_missing"),
        ({"X-Signature": "v1=x"}, "timestamp_missing"),
        ({"X-Signature": "t=+1,v1=x"}, "timestamp_malformed"),
        ({"X-Signature": f"t={int(time.time())},v1=x"}, "signature_malformed"),
        (signature(b"{}", secret="guess"), "signature_wrong"),
        (signature(b"{}", age_s=3600), "too_old"),
        (signature(b"{}", age_s=-3600), "too_new"),
    ],
)
async def test_why_a_delivery_was_refused_is_in_the_log_and_counted_but_not_answered(
    start: Start, headers: dict[str, str], reason: str
) -> None:
    relay = await start(acme())

    with capture_logs() as lines:
        answer = await relay.post("/in/acme", b"{}", headers=headers)

    assert answer.status == 401
    assert problem(answer.body)["title"] == "Authentication failed"
    assert lines[-1]["reason"] == reason
    assert relay.counted("relay_unauthenticated_total", source="acme", reason=reason) == 1
    assert await relay.stored() == []
    for value in headers.values():
        assert value.rpartition("=")[2] not in str(lines) or len(value) < 20


async def test_a_question_is_answered_once_and_reflects_to_nobody_else(start: Start) -> None:
    source = generic_source(SECRET, preset="meta", challenge={"token": "v3rify"})
    relay = await start(source)
    html = "%3Cscript%3Ealert(1)%3C/script%3E"
    query = f"hub.mode=subscribe&hub.challenge={html}&hub.verify_token="

    answer = await relay.request("GET", f"/in/acme?{query}v3rify")
    forged = await relay.request("GET", f"/in/acme?{query}guess")
    other = await relay.request("GET", "/in/acme?hub.challenge=1")

    assert (answer.status, answer.body) == (200, b"<script>alert(1)</script>")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert (forged.status, other.status) == (401, 405)
    assert b"script" not in forged.body
    assert relay.counted("relay_handshakes_total", source="acme") == 1


async def test_a_challenge_by_post_is_no_event(start: Start) -> None:
    relay = await start(generic_source(SECRET, vendor="msgraph"))

    answer = await relay.post("/in/acme?validationToken=abc%20d")

    assert (answer.status, answer.body) == (200, b"abc d")
    assert await relay.stored() == []


async def test_cloudevents_asks_with_options(start: Start) -> None:
    relay = await start(generic_source(SECRET, vendor="cloudevents"))
    headers = {"WebHook-Request-Origin": "a.example", "Authorization": f"Bearer {SECRET}"}

    answer = await relay.request("OPTIONS", "/in/acme", headers=headers)

    assert answer.status == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "a.example"
    assert answer.headers["Allow"] == "OPTIONS, POST"


async def test_what_is_no_json_waits_in_quarantine_without_its_secret(start: Start) -> None:
    source = generic_source(SECRET, verify={"kind": "token", "query": "key"})
    relay = await start(source)

    answer = await relay.post(f"/in/acme?key={SECRET}", f"not json, {SECRET}".encode())

    assert orjson.loads(answer.body)["reason"] == "not_json"
    (row,) = await relay.stored()
    assert row.message.routing_key == "generic.not_json"
    assert SECRET.encode() not in row.message.body


async def test_a_preset_names_the_vendor(start: Start) -> None:
    source = generic_source(SECRET, vendor="shopify", name="shop")
    relay = await start(source)
    body = b'{"id":1}'
    made = base64.b64encode(hmac.new(SECRET.encode(), body, "sha256").digest()).decode()

    await relay.post("/in/shop", body, headers={"X-Shopify-Hmac-Sha256": made})

    assert source.origin == Origin(vendor="shopify", source="shop")
    assert await keys(relay) == ["shopify.received"]
