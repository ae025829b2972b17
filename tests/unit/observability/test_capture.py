"""Whole requests in memory: bounded in number, bytes and time, and without what is secret."""

import base64
from typing import Any

import pytest

from relay.errors import Refused
from relay.observability.capture import (
    Capture,
    CapturedRequest,
    CaptureOrder,
    answer,
    merged,
    read_order,
)
from tests.support.eventually import eventually

SECRET = "tok/3f9a+7c55=e1d2"
OTHER = "of-another-source-77"


def capturing(for_s: float = 60, *, is_refused_only: bool = False) -> Capture:
    capture = Capture()
    capture.set_sources(["acme", "other"], [SECRET, OTHER])
    capture.start(CaptureOrder("acme", for_s, is_refused_only))
    return capture


def take(capture: Capture, **parts: Any) -> None:
    request = {
        "request_id": "1",
        "received_at": 0.0,
        "method": "POST",
        "target": "/in/acme",
        "headers": {},
        "body": b"{}",
        "status": 200,
    }
    request |= parts
    capture.take(**request | {"headers": [*request["headers"].items()]})


def kept(capture: Capture, after: str = "") -> list[CapturedRequest]:
    return capture.page(after)["requests"]


@pytest.mark.parametrize(
    "parts",
    [
        {"target": f"/in/acme/{SECRET}?a=1"},
        {"target": "/in/acme/tok%2F3f9a%2B7c55%3De1d2/"},
        {"target": "/in/acme/visible-value"},
        {"target": f"http://a/in/acme/{SECRET}"},
        {"target": f"/in/acme?a={SECRET}"},
        {"target": f"/in/acme?{SECRET}"},
        {"target": f"/in/acme?a={OTHER}&b=1"},
        {"target": "/in/acme?token=visible-value&b=1"},
        {"target": "/in/acme?visible-value"},
        {"headers": {"Authorization": "Bearer visible-value"}},
        {"headers": {"Cookie": "visible-value"}},
        {"headers": {"X-Api-Key": "visible-value"}},
        {"headers": {"X-Anything": f"x {SECRET} y"}},
        {"headers": {SECRET: "1"}},
        {"body": b'{"token": "%s"}' % SECRET.encode()},
        {"body": rb'{"token": "tok\/3f9a\u002b7c55=e1d2"}'},
        {"body": OTHER.encode()},
        {"method": SECRET},
    ],
)
async def test_what_is_secret_is_taken_out(parts: dict[str, Any]) -> None:
    capture = capturing()

    take(capture, **parts)

    (request,) = kept(capture)
    shown = str(request) + base64.b64decode(request["body"]).decode()
    assert "[secret removed]" in shown
    for secret in ("3f9a", OTHER, "visible-value"):
        assert secret not in shown


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b'{"a": "\xc3\xa9"}', b"x" * 100_000])
async def test_the_rest_stays_as_it_came(body: bytes) -> None:
    capture = capturing()
    headers = {"X-Signature": "sha256=abc", "Content-Type": "text/plain"}

    take(capture, body=body, headers=headers, target="/in/acme?a=1&b=2", status=401)

    (request,) = kept(capture)
    assert base64.b64decode(request["body"]) == body
    assert request["headers"] == [*headers.items()]
    assert (request["target"], request["status"]) == ("/in/acme?a=1&b=2", 401)


async def test_it_ends_after_so_many_requests() -> None:
    capture = capturing()

    for _ in range(150):
        take(capture)

    assert len(kept(capture)) == 100
    assert not capture.page("")["active"]
    assert capture.source == ""


@pytest.mark.parametrize("size", [100_000, 4_000_000, 20_000_000])
async def test_it_ends_after_so_many_bytes(size: int) -> None:
    capture = capturing()

    for _ in range(150):
        take(capture, body=b"x" * size)

    assert len(kept(capture)) == min(100, 10 * 1024 * 1024 // size)
    assert not capture.page("")["active"]


async def test_it_goes_off_by_itself_and_keeps_what_there_is_for_the_reader() -> None:
    capture = capturing(for_s=0.01)
    take(capture)

    await eventually(lambda: not capture.source)

    assert len(kept(capture)) == 1


async def test_only_refused_ones_if_so_asked() -> None:
    capture = capturing(is_refused_only=True)

    for status in (200, 401, 413, 200, 503):
        take(capture, status=status)

    assert [request["status"] for request in kept(capture)] == [401, 413, 503]


async def test_a_cursor_gives_the_rest_and_an_end_forgets_all() -> None:
    capture = capturing()
    take(capture)
    cursor = capture.page("")["cursor"]
    take(capture, request_id="2")

    assert [request["request_id"] for request in kept(capture, cursor)] == ["2"]
    await answer(capture, "DELETE", {}, None)
    assert capture.page("") == {"active": False, "source": "acme", "cursor": "0", "requests": []}
    for wrong in ("x", "-1", "1.5", "9" * 5000):
        with pytest.raises(Refused):
            capture.page(wrong)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"source": "acme", "for_s": 60},
        {"source": "acme", "for_s": 0, "refused": False},
        {"source": "acme", "for_s": -1, "refused": False},
        {"source": "acme", "for_s": 3601, "refused": False},
        {"source": "acme", "for_s": "60", "refused": False},
        {"source": 1, "for_s": 60, "refused": False},
        {"source": "acme", "for_s": 60, "refused": 1},
    ],
)
async def test_an_order_that_is_none_is_refused(document: object) -> None:
    with pytest.raises(Refused):
        read_order(document)


async def test_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="no source"):
        await answer(capturing(), "POST", {}, {"source": "nobody", "for_s": 1, "refused": False})


async def test_several_workers_are_merged_by_time() -> None:
    one, two = capturing(), capturing()
    for number, worker in enumerate([one, two, two, one]):
        take(worker, received_at=float(number), request_id=str(number))

    page = merged([one.page(""), two.page(""), None], "")

    assert [request["request_id"] for request in page["requests"]] == ["0", "1", "2", "3"]
    assert (page["cursor"], page["active"]) == ("2_2_", True)
