"""Large deliveries are processed in a subprocess, so that small ones need not wait.

To parse 5 MiB holds Python's interpreter lock for 50 ms; no thread helps against that. The
subprocess is started for the first large delivery, and kept. It reads pickles from its standard
input, answers on its standard output, one after the other, and ends when either is closed.
"""

import asyncio
import os
import pickle
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from types import ModuleType
from typing import BinaryIO, NamedTuple, cast

import structlog
from multidict import CIMultiDict

from relay import vendors
from relay.errors import InternalError, Refused, ServiceUnavailable
from relay.events.message import Origin
from relay.events.source_rules import SourceRules
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.process.safe_traceback import safe_traceback
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

_LIMIT_S = 30.0
"""For one delivery, its turn and a start included; the largest take a tenth of a second."""
_NICE = 10  # on a busy machine the small deliveries come first
_length = struct.Struct(">Q")

log = structlog.get_logger("relay.ingress")


class _Question(NamedTuple):
    """A delivery with what is needed of its source.

    A vendor that is a module is None here, and found by its name; any other is a value.
    """

    delivery: Request
    origin: Origin
    vendor: vendors.Vendor | None
    secrets: tuple[str, ...]
    rules: SourceRules | None
    received_at: float
    delivery_id: str


_Failure = dict[str, str]
"""What vendor code failed with, as far as a log may show it."""
_Result = ProcessedDelivery | Refused | _Failure  # no class of this module: there it is __main__


class ProcessingSubprocess:
    """Asks the subprocess, and starts another one after it died. `close` at the end."""

    def __init__(self) -> None:
        self._process: Process | None = None
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
        question = _Question(
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

    async def _ask_or_end(self, question: bytes) -> _Result:
        try:
            return await self._ask(question)
        except BaseException:
            await self._end()  # its result would be taken for the next one's
            raise

    async def _ask(self, question: bytes) -> _Result:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE
            )
        questions, results = self._process.stdin, self._process.stdout
        if questions is None or results is None:  # pragma: no cover  they are pipes
            raise EOFError
        questions.write(_length.pack(len(question)))
        questions.write(question)
        await questions.drain()
        (size,) = _length.unpack(await results.readexactly(_length.size))
        return cast("_Result", pickle.loads(await results.readexactly(size)))  # noqa: S301  our own

    async def close(self) -> None:
        """End the subprocess, once it has answered."""
        async with self._turn:
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()


def _answer_all(questions: BinaryIO, results: BinaryIO) -> None:
    while head := questions.read(_length.size):
        (size,) = _length.unpack(head)
        question: _Question = pickle.loads(questions.read(size))  # noqa: S301  our own
        pickled = pickle.dumps(_result_of(question))
        results.write(_length.pack(len(pickled)))
        results.write(pickled)
        results.flush()


def _result_of(question: _Question) -> _Result:
    vendor = question.vendor or vendors.find(question.origin.vendor)
    source = Source(
        origin=question.origin,
        vendor=cast("vendors.Vendor", vendor),  # whoever asks has found it, too
        secrets=Secrets(question.secrets),
        rules=question.rules,
    )
    try:
        return process_delivery(
            question.delivery, source, question.received_at, question.delivery_id
        )
    except Refused as error:
        return error
    except Exception as error:  # noqa: BLE001  the next delivery may be of another vendor
        return dict(safe_traceback(error))


def _main() -> None:
    os.nice(_NICE)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # meant for the relay, which ends this process
    _answer_all(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
