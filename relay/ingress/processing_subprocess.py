"""Large deliveries are understood in a process of their own, so that small ones need not wait.

A parse of 5 MiB holds Python's interpreter lock for 50 ms; no thread helps against that. The
process is started when the first large delivery comes, and kept. It reads pickles from its
standard input and answers on its standard output, one after the other, and ends with either.
"""

import asyncio
import os
import pickle
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from typing import BinaryIO, NamedTuple, cast

from multidict import CIMultiDict

from relay import vendors
from relay.errors import Refused, ServiceUnavailable
from relay.events.message import Origin
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

_LIMIT_S = 30.0
"""For one delivery, its turn and a start included; the largest take a tenth of a second."""
_NICE = 10  # on a busy machine the small deliveries come first, with whoever serves them
_length = struct.Struct(">Q")


class _Question(NamedTuple):
    """A delivery with what is needed of its source; the vendor's code is found by its name."""

    delivery: Request
    origin: Origin
    secrets: tuple[str, ...]
    received_at: float
    delivery_id: str


class ProcessingSubprocess:
    """Ask the process; begin it anew when it died. `close` at the end."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def process_delivery(
        self, delivery: Request, source: Source, received_at: float, delivery_id: str
    ) -> ProcessedDelivery:
        """Do what delivery.understand does.

        Raises:
            Unauthenticated: nothing may be stored.
            ServiceUnavailable: the process died or took too long.
        """
        headers = CIMultiDict(delivery.headers)  # a proxy can't be pickled
        question = _Question(
            delivery=delivery._replace(headers=headers),
            origin=source.origin,
            secrets=source.secrets.values,
            received_at=received_at,
            delivery_id=delivery_id,
        )
        try:
            async with asyncio.timeout(_LIMIT_S), self._turn:
                answer = await self._ask_or_end(pickle.dumps(question))
        except (TimeoutError, OSError, EOFError) as error:
            raise ServiceUnavailable(
                "A large delivery could not be looked at; try later."
            ) from error
        if isinstance(answer, Refused):
            raise answer
        return answer

    async def _ask_or_end(self, question: bytes) -> ProcessedDelivery | Refused:
        try:
            return await self._ask(question)
        except BaseException:
            await self._end()  # its answer would be taken for the next one's
            raise

    async def _ask(self, question: bytes) -> ProcessedDelivery | Refused:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE
            )
        output, answers = self._process.stdin, self._process.stdout
        if output is None or answers is None:  # pragma: no cover  they are pipes
            raise EOFError
        output.write(_length.pack(len(question)))
        output.write(question)
        await output.drain()
        (size,) = _length.unpack(await answers.readexactly(_length.size))
        return cast("ProcessedDelivery | Refused", pickle.loads(await answers.readexactly(size)))  # noqa: S301  our own

    async def close(self) -> None:
        """End the process, once it has answered."""
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()


def _answer_all(questions: BinaryIO, answers: BinaryIO) -> None:
    known = vendors.discover()
    while head := questions.read(_length.size):
        (size,) = _length.unpack(head)
        asked: _Question = pickle.loads(questions.read(size))  # noqa: S301  our own
        source = Source(
            origin=asked.origin, vendor=known[asked.origin.vendor], secrets=Secrets(asked.secrets)
        )
        answer: ProcessedDelivery | Refused
        try:
            answer = process_delivery(asked.delivery, source, asked.received_at, asked.delivery_id)
        except Refused as error:
            answer = error
        pickled = pickle.dumps(answer)
        answers.write(_length.pack(len(pickled)))
        answers.write(pickled)
        answers.flush()


if __name__ == "__main__":
    os.nice(_NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for whoever asks: it ends this process
    _answer_all(sys.stdin.buffer, sys.stdout.buffer)
