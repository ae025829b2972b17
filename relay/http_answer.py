"""Answers of the public listener. They echo nothing of a request but a token that matched."""

from urllib.parse import urlencode

import orjson
from aiohttp import web

from relay.delivery import EchoStyle, Understood
from relay.errors import MethodNotAllowed, Refused, Unavailable
from relay.request import Echo

RETRY_AFTER_S = 5

_HEADERS = {"Server": "relay"}  # aiohttp would tell its own and Python's version


def answer(understood: Understood, style: EchoStyle) -> web.Response:
    """Answer an authenticated delivery; style is how a handshake's token is read back."""
    echo, messages = understood.echo, understood.messages
    if echo and not messages:
        return _answer_handshake(echo, style)
    document: dict[str, object]
    if understood.reason:
        document = {"status": "quarantined", "reason": understood.reason, "id": messages[0].id}
    else:
        document = {"status": "accepted", "events": [message.id for message in messages]}
    if echo:
        document["token"] = echo.token
    return _json(document)


def _answer_handshake(echo: Echo, style: EchoStyle) -> web.Response:
    """Read the token back. As JSON; but bare text if it came as bare text, or as settings say."""
    shape = echo.shape if style == "mirror" or echo.shape == "text" else style
    match shape:
        case "text":
            return web.Response(text=echo.token, headers=_HEADERS)
        case "string":
            return _json(echo.token)
        case "form":
            form = urlencode({"token": echo.token})
            content_type = "application/x-www-form-urlencoded"
            return web.Response(text=form, content_type=content_type, headers=_HEADERS)
        case _:
            return _json({"token": echo.token})


def _json(document: object) -> web.Response:
    return web.Response(
        body=orjson.dumps(document), content_type="application/json", headers=_HEADERS
    )


def problem(error: Refused, request_id: str) -> web.Response:
    """Answer with a problem document (RFC 9457). Its texts are ours alone."""
    document = {
        "type": error.slug,
        "title": error.title,
        "status": error.status,
        "request_id": request_id,
    }
    headers = dict(_HEADERS)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = "POST"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return web.Response(
        body=orjson.dumps(document),
        status=error.status,
        content_type="application/problem+json",
        headers=headers,
    )
