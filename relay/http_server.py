"""aiohttp's low-level server with the relay's answers where aiohttp answers by itself.

No application, router or middleware: there is one path, and each layer costs as much as the
relay's own work. What is no HTTP at all is answered by `handle_error`, whose original would
tell versions and repeat bytes of the request.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from relay import http_answer
from relay.errors import InternalError, Refused

_KEEPALIVE_S = 75


class _Handler(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002  aiohttp's signature
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        error = InternalError() if status >= InternalError.status else Refused()
        response = http_answer.problem(error, "none")
        response.force_close()
        return response


class Server(web.Server):
    """A server whose requests all go to one function."""

    def __init__(self, receive: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(receive)
        self._options: dict[str, Any] = {
            "access_log": None,  # it would hold query strings, and these hold tokens
            "auto_decompress": False,  # http_body does, within its limit
            "keepalive_timeout": _KEEPALIVE_S,
        }

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return _Handler(self, loop=self._loop, **self._options)
