"""Answers of the public listener. They echo nothing of a request but a token that matched. Pure."""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlencode

import orjson

from relay.errors import MethodNotAllowed, Refused, ServiceUnavailable
from relay.ingress.processing import EchoStyle, ProcessedDelivery
from relay.vendors.kit.request import Answer, Echo

RETRY_AFTER_S = 5

_JSON = "application/json"
_SERVER = ("Server", "relay")  # no version: it would only help an attacker
_ANSWERED = (_SERVER, ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


class Response(NamedTuple):
    """What a request is answered with.

    Args:
        body: at most some kilobytes.
        content_type: of the body.
        status: the HTTP status.
        headers: further ones, as (name, value).
        is_last: whether the connection is closed after it.
    """

    body: bytes
    content_type: str = _JSON
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (_SERVER,)
    is_last: bool = False


def accepted_response(processed: ProcessedDelivery, style: EchoStyle) -> Response:
    """Return the answer to an authenticated delivery.

    Args:
        processed: what became of it.
        style: how a handshake's token is read back.
    """
    if processed.answer:
        return _answer_question(processed.answer)
    echo, messages = processed.echo, processed.messages
    if echo and not messages and not processed.ignored:
        return _answer_handshake(echo, style)
    document: dict[str, object]
    if processed.reason:
        document = {"status": "quarantined", "reason": processed.reason, "id": messages[0].id}
    else:
        document = {"status": "accepted", "events": [message.id for message in messages]}
        if processed.reasons:
            document |= _apart(processed)
        if processed.ignored:
            document["ignored"] = processed.ignored
    if echo:
        document["token"] = echo.token
    return Response(orjson.dumps(document))


def _answer_question(answer: Answer) -> Response:
    """Say what the vendor wants to read. No browser or cache may make more of it."""
    headers = _ANSWERED + answer.headers
    return Response(answer.body, answer.content_type, answer.status, headers)


def _apart(processed: ProcessedDelivery) -> dict[str, object]:
    """Return the ids of the events, and of what is quarantined alone, each with its reason."""
    quarantined = [message.id for message in processed.messages if message.is_quarantined]
    return {
        "events": [message.id for message in processed.messages if not message.is_quarantined],
        "quarantined": [
            {"reason": reason, "id": quarantined_id}
            for reason, quarantined_id in zip(processed.reasons, quarantined, strict=True)
        ],
    }


def _answer_handshake(echo: Echo, style: EchoStyle) -> Response:
    """Read the token back. As JSON; but bare text if it came as bare text, or as settings say."""
    shape = echo.shape if style == "mirror" or echo.shape == "text" else style
    match shape:
        case "text":
            return Response(echo.token.encode(), "text/plain; charset=utf-8")
        case "string":
            return Response(orjson.dumps(echo.token))
        case "form":
            form = urlencode({"token": echo.token})
            return Response(form.encode(), "application/x-www-form-urlencoded")
        case _:
            return Response(orjson.dumps({"token": echo.token}))


def problem_response(error: Refused, request_id: str) -> Response:
    """Return a problem document (RFC 9457). Its texts are ours alone."""
    document = {
        "type": error.slug,
        "title": error.title,
        "status": error.status,
        "request_id": request_id,
    }
    headers = [_SERVER]
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", "POST"))
    if isinstance(error, ServiceUnavailable):
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    return Response(
        orjson.dumps(document), "application/problem+json", error.status, tuple(headers)
    )


def encode(
    response: Response, now_s: int, connection: str = "", *, is_to_head: bool = False
) -> bytes:
    """Return a response as HTTP/1.1 has it on the wire (RFC 9112).

    Args:
        response: what to send.
        now_s: seconds since 1970, for the Date header.
        connection: what the Connection header says; without one, HTTP/1.1 keeps it open.
        is_to_head: whether it answers HEAD: without its body, but with the length that this body
            would have (RFC 9110, 8.6 and 9.3.2).
    """
    head = _head(response.status, response.content_type, response.headers, connection)
    length = b"%d\r\n\r\n" % len(response.body)
    return b"".join((head, _date(now_s), length, b"" if is_to_head else response.body))


@lru_cache(maxsize=64)
def _head(
    status: int, content_type: str, headers: tuple[tuple[str, str], ...], connection: str
) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if connection:
        lines.append(f"Connection: {connection}")
    return "\r\n".join([*lines, ""]).encode("ascii")


@lru_cache(maxsize=2)
def _date(now_s: int) -> bytes:
    return f"Date: {formatdate(now_s, usegmt=True)}\r\nContent-Length: ".encode("ascii")
