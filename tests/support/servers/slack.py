"""A chat service that takes messages through an incoming webhook, as Slack does."""

import asyncio
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.eventually import eventually

_PATH = "/services/T000/B000/s3cret"


class Slack:
    """A server on loopback. It answers 200 unless there are other answers to give first."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.answers: list[web.Response] = []
        self.is_answering = asyncio.Event()
        self.is_answering.set()

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]

    async def has(self, count: int) -> None:
        """Wait until so many messages have arrived."""
        await eventually(lambda: len(self.bodies) >= count)

    async def _receive(self, request: web.BaseRequest) -> web.Response:
        assert (request.method, request.path) == ("POST", _PATH)
        self.bodies.append(await request.json())
        await self.is_answering.wait()
        return self.answers.pop(0) if self.answers else web.Response(text="ok")

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._receive), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{_PATH}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_answering.set()
        await self._runner.cleanup()
