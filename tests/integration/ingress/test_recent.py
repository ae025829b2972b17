"""What `/recent` shows of requests: of each kind, and never a value of what was sent."""

import asyncio
import gzip
import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay import vendors
from relay.errors import OutboxFull
from relay.events import ignored_types
from relay.events.source_rules import SourceRules
from relay.observability.recent_requests import RecentQuery
from relay.sink import PendingDelivery, Sink, complete_all
from tests.integration.conftest import Running, Start, source
from tests.support.eventually import eventually

TOKEN = "tok-3f9a7c55e1d24b60"
BODY = Path("relay/vendors/samples/pickyassist/01-chat_assigned.json").read_bytes()
TEXT = vendors.samples("swiftsell")[1].read_bytes()
VALUES = ["visible-value", "other-value"]


class Full(Sink):
    """Has no room."""

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        complete_all(deliveries, OutboxFull("the outbox is full"))


async def rows(running: Running) -> list[dict[str, Any]]:
    found = (await running.recent.page(RecentQuery()))["requests"]
    shown = orjson.dumps(found).decode()
    assert not [value for value in [TOKEN, *VALUES] if value in shown]
    return found


async def test_an_accepted_request_names_its_event(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN))

    answer = await running.post(f"/in/pickyassist/{TOKEN}", BODY)

    (row,) = await rows(running)
    ids = orjson.loads(answer.body)["events"]
    assert row == row | {
        "source": "pickyassist",
        "status": 200,
        "verdict": "accepted",
        "type": "conversation.assigned",
        "routing_key": "pickyassist.conversation.assigned",
        "events": 1,
        "event_ids": ids,
        "bytes": len(BODY),
        "method": "POST",
        "client": "127.0.0.1",
    }
    assert row["duration_ms"] > 0
    assert row["time"].endswith("Z")
    assert not {"header_names", "reason", "detail", "handshake", "event_id"} & set(row)


@pytest.mark.parametrize("body", [b"no JSON: visible-value", b"[1, 2", b'{"visible-value": 1}'])
async def test_a_quarantined_request_has_its_reason(start: Start, body: bytes) -> None:
    running = await start(source("pickyassist", TOKEN))

    answer = orjson.loads((await running.post(f"/in/pickyassist/{TOKEN}", body)).body)

    (row,) = await rows(running)
    assert row["verdict"] == "quarantined"
    assert row["reason"] == answer["reason"]
    assert row["event_ids"] == [answer["id"]]
    assert row["routing_key"] == f"pickyassist.{answer['reason']}"


async def test_a_refused_request_has_names_and_no_values(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN))

    await running.post(
        "/in/pickyassist/visible-value?key=visible-value&bare",
        b'{"field": "other-value"}',
        headers={"X-Some": "visible-value", "Content-Type": "application/json"},
    )

    (row,) = await rows(running)
    assert (row["verdict"], row["status"], row["reason"]) == ("refused", 401, "token_wrong")
    assert "X-Some" in row["header_names"]
    assert row["query_names"] == ["key"]
    assert row["body_names"] == ["field"]
    assert row["bytes"] == 24
    assert "event_ids" not in row


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("POST", "/in/nobody/visible-value?a=visible-value", {}, (404, "unknown-source")),
        ("POST", "/elsewhere/visible-value", {}, (404, "unknown-source")),
        ("PUT", f"/in/pickyassist/{TOKEN}", {}, (405, "method-not-allowed")),
        ("PROPFIND", f"/in/pickyassist/{TOKEN}", {}, (405, "method-not-allowed")),
        ("POST", f"/in/pickyassist/{TOKEN}", {"data": b"x" * 100_001}, (413, "body-too-large")),
        (
            "POST",
            f"/in/pickyassist/{TOKEN}",
            {"data": b"x", "headers": {"Content-Encoding": "br"}},
            (415, "unsupported-encoding"),
        ),
        (
            "POST",
            f"/in/pickyassist/{TOKEN}",
            {"headers": {"X-A": "b" * 40_000}},
            (431, "head-too-large"),
        ),
    ],
)
async def test_other_refusals_have_the_type_of_their_answer(
    start: Start, method: str, path: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    running = await start(source("pickyassist", TOKEN))

    answer = await running.request(method, path, **options)

    (row,) = await rows(running)
    assert (answer.status, orjson.loads(answer.body)["type"]) == expected
    assert (row["status"], row["reason"], row["verdict"]) == (*expected, "refused")
    assert row["client"] == "127.0.0.1"
    assert row["detail"]
    assert row["method"] == {"PROPFIND": "other"}.get(method, method)
    assert ("Host" in row["header_names"]) == (expected[0] != 431)


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 visible-value\r\n\r\n", b"GET / visible-value\r\n\r\n"]
)
async def test_what_is_no_http_is_seen(start: Start, sent: bytes) -> None:
    running = await start(source("pickyassist", TOKEN))
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)

    writer.write(sent)
    await reader.read()
    writer.close()

    (row,) = await rows(running)
    assert (row["source"], row["status"], row["verdict"]) == ("unknown", 400, "refused")
    assert row["reason"] == "bad-request"


async def test_a_body_that_does_not_come_is_seen(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN), read_timeout_s=0.05)
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)

    path = f"/in/pickyassist/{TOKEN}".encode()
    writer.write(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nxx")

    await eventually(lambda: rows(running))
    (row,) = await rows(running)
    assert (row["status"], row["reason"]) == (408, "body-too-slow")
    writer.close()


@pytest.mark.parametrize("name", [TOKEN, f"x{TOKEN}y", "tok%2D3f9a7c55e1d24b60", "z" * 80 + TOKEN])
@pytest.mark.parametrize("path", ["/in/pickyassist/wrong", "/in/nobody", "/in/pickyassist"])
async def test_a_secret_in_the_place_of_a_name_is_not_shown(
    start: Start, path: str, name: str
) -> None:
    running = await start(source("pickyassist", TOKEN), source("channeltalk", "other-token-0123"))

    for method in ("POST", "PUT"):
        await running.request(
            method,
            f"{path}?{name}=1",
            headers={name: "1", "Content-Type": f"text/{name}"},
            data=orjson.dumps({name: 1}),
        )

    shown = orjson.dumps(await rows(running)).decode()
    assert "3f9a7c55e1d24b60" not in shown


async def test_a_handshake_is_no_event(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN))

    await running.post(f"/in/pickyassist/{TOKEN}")

    (row,) = await rows(running)
    assert row["verdict"] == "handshake"
    assert not {"type", "event_ids", "events", "reason"} & set(row)


@pytest.mark.parametrize(("count", "bad"), [(2, 0), (3, 1), (30, 0), (30, 25)])
async def test_of_several_events_some_are_named(start: Start, count: int, bad: int) -> None:
    running = await start(source("swiftsell", TOKEN))
    (element,) = orjson.loads(TEXT)["events"]
    elements = [{"visible-value": number} for number in range(bad)]
    elements += [element | {"n": number} for number in range(count)]

    answer = await running.post(
        "/in/swiftsell", orjson.dumps({"events": elements}), headers={"Authorization": TOKEN}
    )

    (row,) = await rows(running)
    assert row["verdict"] == "accepted"
    assert row["event_ids"] == orjson.loads(answer.body)["events"][:20]
    assert (row["events"], row.get("quarantined_alone", 0)) == (count, bad)
    assert row["type"] == "message.created"


async def test_a_compressed_request_has_the_size_it_has_without(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN))

    await running.post(
        f"/in/pickyassist/{TOKEN}", gzip.compress(BODY), headers={"Content-Encoding": "gzip"}
    )

    (row,) = await rows(running)
    assert (row["verdict"], row["bytes"]) == ("accepted", len(BODY))


async def test_a_stranger_behind_a_proxy_is_shown_by_the_address_it_reports(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN), trusted_proxies=[ip_network("127.0.0.0/8")])

    await running.post("/in/nobody", headers={"X-Forwarded-For": "203.0.113.7"})

    assert (await rows(running))[0]["client"] == "203.0.113.7"


@pytest.mark.parametrize(
    ("path", "body", "is_seen"),
    [
        (f"/in/pickyassist/{TOKEN}", BODY, True),
        (f"/in/pickyassist/{TOKEN}", b"no JSON", True),
        (f"/in/pickyassist/{TOKEN}", b"", True),  # a test call without events
        (f"/in/pickyassist/{TOKEN}", b"[" + b" " * 70_000 + b"]", True),  # in the subprocess
        ("/in/pickyassist/wrong", BODY, False),
        ("/in/pickyassist", BODY, False),
        (f"/in/nobody/{TOKEN}", BODY, False),
    ],
)
async def test_a_source_is_seen_when_somebody_authenticates(
    start: Start, path: str, body: bytes, *, is_seen: bool
) -> None:
    running = await start(source("pickyassist", TOKEN))

    await running.post(path, body)

    seen = running.counted("relay_source_last_seen_timestamp_seconds", source="pickyassist")
    assert (abs(time.time() - seen) < 60) == is_seen
    assert not running.counted("relay_source_last_seen_timestamp_seconds", source="nobody")


async def test_a_source_is_seen_though_its_event_can_not_be_kept(start: Start) -> None:
    running = await start(source("pickyassist", TOKEN), sink=Full())

    assert (await running.post(f"/in/pickyassist/{TOKEN}", BODY)).status == 503

    assert running.counted("relay_source_last_seen_timestamp_seconds", source="pickyassist")
    (row,) = await rows(running)
    assert (row["reason"], row["verdict"]) == ("outbox-full", "refused")


@pytest.mark.parametrize("bad", [0, 1, 2, 3])
async def test_what_is_ignored_is_seen_beside_what_is_not_understood(
    start: Start, bad: int
) -> None:
    rules = SourceRules(ignored=ignored_types.pattern_of(["message.*"], ["message.created"]))
    running = await start(source("swiftsell", TOKEN, rules=rules))
    elements = [*orjson.loads(TEXT)["events"], *[{"visible-value": n} for n in range(bad)]]

    answer = await running.post(
        "/in/swiftsell", orjson.dumps({"events": elements}), headers={"Authorization": TOKEN}
    )

    (row,) = await rows(running)
    assert answer.status == 200
    assert row["verdict"] == ("accepted" if bad else "ignored")
    assert row["ignored"] == 1
    assert len(row.get("event_ids", [])) == bad
