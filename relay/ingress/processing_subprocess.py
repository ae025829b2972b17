"""Large deliveries are processed in a subprocess, so that small ones need not wait.

To parse 5 MiB holds Python's interpreter lock for 50 ms; no thread helps against that. The
subprocess runs `processing_program`. It is started for the first large delivery, and kept. It reads
pickles from its standard input, answers on its standard output, one after the other, and ends when
either is closed; both are one socket.
"""

import asyncio
import pickle
import socket
import subprocess
import sys
from types import ModuleType
from typing import cast

import structlog
from multidict import CIMultiDict

from relay.errors import InternalError, Refused, ServiceUnavailable
from relay.ingress import processing_program
from relay.ingress.processing import ProcessedDelivery, Source
from relay.ingress.processing_program import LENGTH, Question, Result
from relay.vendors.kit.request import Request

_LIMIT_S = 30.0
"""For one delivery, its turn and a start included; the largest take a tenth of a second."""

log = structlog.get_logger("relay.ingress")


class ProcessingSubprocess:
    """Asks the subprocess, and starts another one after it died. `close` at the end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def process_delivery(
        self, delivery: Request, source: Source, received_at: float, delivery_id: str
    ) -> ProcessedDelivery:
        """Do what processing.process_delivery does.

        Raises:
            Unauthenticated: nothing may be stored.
            InternalError: the vendor's code has a bug, which is logged.
            ServiceUnavailable: the subprocess died or took too long.
        """
        headers = CIMultiDict(delivery.headers)  # a proxy can't be pickled
        question = Question(
            delivery=delivery._replace(headers=headers),
            origin=source.origin,
            vendor=None if isinstance(source.vendor, ModuleType) else source.vendor,
            secrets=source.secrets.values,
            rules=source.rules,
            received_at=received_at,
            delivery_id=delivery_id,
        )
        try:
            async with asyncio.timeout(_LIMIT_S), self._turn:
                result = await self._ask_or_end(pickle.dumps(question))
        except (TimeoutError, OSError, EOFError) as error:
            raise ServiceUnavailable(
                "A large delivery could not be processed; try later."
            ) from error
        if isinstance(result, Refused):
            try:
                raise result
            finally:
                del result  # its traceback has this frame, and so the body: a cycle, for minutes
        if isinstance(result, dict):
            log.error("delivery failed", source=source.origin.source, **result)
            raise InternalError("see the traceback")
        return result

    async def _ask_or_end(self, question: bytes) -> Result:
        try:
            return await self._ask(question)
        except BaseException:
            await self._end()  # its result would be taken for the next one's
            raise

    async def _ask(self, question: bytes) -> Result:
        results, questions = self._streams or await self._open()
        questions.write(LENGTH.pack(len(question)))
        questions.write(question)
        await questions.drain()
        (size,) = LENGTH.unpack(await results.readexactly(LENGTH.size))
        return cast("Result", pickle.loads(await results.readexactly(size)))  # noqa: S301  our own

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno())
            except OSError:  # no process or no memory is left, for now
                ours.close()
                raise
        self._streams = await asyncio.open_unix_connection(sock=ours)
        return self._streams

    async def close(self) -> None:
        """End the subprocess, once it has answered."""
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        streams, self._streams = self._streams, None
        if streams:
            streams[1].close()
        if process:
            process.kill()
            await asyncio.to_thread(process.wait)


def _start(standard: int) -> subprocess.Popen[bytes]:
    """Start the subprocess. The event loop stands still for half a millisecond.

    uvloop would fork, which copies the tables of all memory in use, for 10 ms and more. Python's
    own way, vfork, copies nothing.
    """
    program = [sys.executable, "-m", processing_program.__name__]
    return subprocess.Popen(program, stdin=standard, stdout=standard)  # noqa: S603  our own
