"""What a vendor asks before it sends events, over real HTTP: answered, counted, never stored."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from structlog.testing import capture_logs

from relay.errors import Unauthenticated
from relay.events.event import NormalizedEvent
from relay.vendors.kit.authentication import Secrets, require_secret
from relay.vendors.kit.request import Answer, Request
from tests.integration.conftest import Start, problem, source

SECRET = "s3cret"
AUTHORIZED = {"X-Secret": SECRET}


class Asking:
    """A vendor that asks in all ways there are."""

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        self.seen: list[Request] = []
        self._answer = answer

    def authenticate(self, request: Request, secrets: Secrets) -> Answer | None:
        self.seen.append(request)
        require_secret([request.headers.get("x-secret", "")], secrets)
        return self._answer(request) if request.body == b"a question" else None

    def answer(self, request: Request, secrets: Secrets) -> Answer | None:
        self.seen.append(request)
        require_secret(request.query("token"), secrets)
        return self._answer(request)

    def normalize(self, request: Request) -> list[NormalizedEvent]:
        return [NormalizedEvent(type="note.created", vendortype="n", data={}, raw=request.body)]


def asking(answer: Callable[[Request], Answer | None]) -> "tuple[Asking, object]":
    vendor = Asking(answer)
    return vendor, replace(source("acquire", SECRET, name="acme"), vendor=vendor)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_question_is_answered_and_counts_as_a_handshake(start: Start, method: str) -> None:
    vendor, acme = asking(lambda request: Answer(body=request.query("q")[0].encode()))
    relay = await start(acme)

    answer = await relay.request(method, f"/in/acme/p?token={SECRET}&q=why%20not")

    assert answer.status == 200
    assert answer.body == (b"" if method == "HEAD" else b"why not")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert relay.counted("relay_handshakes_total", source="acme") == 1
    assert await relay.stored() == []
    (seen,) = vendor.seen
    assert (seen.method, seen.url) == (method, f"/in/acme/p?token={SECRET}&q=why%20not")
    assert seen.path_secret == "p"
    assert seen.received_at


async def test_a_challenge_by_post_is_answered_and_no_event(start: Start) -> None:
    headers = (("X-Proof", "yes"),)
    answered = Answer(body=b'{"a":1}', content_type="application/json", headers=headers)
    _, acme = asking(lambda _: answered)
    relay = await start(acme)

    challenge = await relay.post("/in/acme", b"a question", headers=AUTHORIZED)
    event = await relay.post("/in/acme", b'{"an":"event"}', headers=AUTHORIZED)

    assert (challenge.status, challenge.body) == (200, b'{"a":1}')
    assert (challenge.headers["Content-Type"], challenge.headers["X-Proof"]) == (
        "application/json",
        "yes",
    )
    assert orjson.loads(event.body)["status"] == "accepted"
    assert relay.counted("relay_handshakes_total", source="acme") == 1
    assert len(await relay.stored()) == 1


@pytest.mark.parametrize(
    ("target", "url"),
    [("/in/acme?q=1", "/in/acme?q=1"), ("http://a.example/in/acme", "http://a.example/in/acme")],
)
async def test_a_vendor_sees_method_and_url_as_they_came(
    start: Start, target: str, url: str
) -> None:
    vendor, acme = asking(lambda _: None)
    relay = await start(acme)
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nX-Secret: {SECRET}\r\n"

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(head.encode() + b"Content-Length: 2\r\n\r\n{}")
    line = await reader.readline()
    writer.close()

    assert b" 200 " in line
    assert [(seen.method, seen.url) for seen in vendor.seen] == [("POST", url)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_what_is_no_question_stays_refused_with_405(start: Start, method: str) -> None:
    _, acme = asking(lambda _: None)
    relay = await start(acme)

    answer = await relay.request(method, f"/in/acme?token={SECRET}")

    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert relay.counted("relay_handshakes_total", source="acme") == 0


async def test_a_stranger_reads_nothing_of_what_was_asked(start: Start) -> None:
    _, acme = asking(lambda request: Answer(body=request.query_string.encode()))
    relay = await start(acme)

    with capture_logs() as lines:
        answer = await relay.request("GET", "/in/acme?token=guess&q=why")

    assert answer.status == 401
    assert problem(answer.body)["type"] == "unauthenticated"
    assert b"why" not in answer.body
    assert lines[-1]["reason"] == "token_wrong"
    assert "guess" not in str(lines)


@pytest.mark.parametrize(
    ("headers", "reason"), [({}, "token_missing"), ({"X-Secret": "guess"}, "token_wrong")]
)
async def test_why_a_caller_was_refused_is_counted_and_logged_but_not_answered(
    start: Start, headers: dict[str, str], reason: str
) -> None:
    _, acme = asking(lambda _: None)
    relay = await start(acme)

    with capture_logs() as lines:
        answer = await relay.post("/in/acme", b"{}", headers=headers)

    assert reason.encode() not in answer.body
    assert (lines[-1]["reason"], lines[-1]["status"]) == (reason, 401)
    assert relay.counted("relay_unauthenticated_total", source="acme", reason=reason) == 1


async def test_a_reason_that_is_no_word_of_ours_is_no_label(start: Start) -> None:
    class Odd(Asking):
        def authenticate(self, *_: object) -> None:
            raise Unauthenticated("no", "a reason of its own")

    acme = replace(source("acquire", SECRET, name="acme"), vendor=Odd(lambda _: None))
    relay = await start(acme)

    await relay.post("/in/acme", b"{}")

    counted = relay.counted("relay_unauthenticated_total", source="acme", reason="unauthenticated")
    assert counted == 1


async def test_a_large_question_is_answered_in_the_same_way(start: Start) -> None:
    relay = await start(source("acquire", SECRET, name="acme"))

    answer = await relay.request("GET", "/in/acme", data=b"x" * 70_000)

    assert answer.status == 405
