"""What the subprocess for large deliveries runs: questions in, results out, one after the other.

It imports what processing takes and nothing else: without asyncio and structlog it starts in half
the time, while the first large delivery waits for it.
"""

import os
import pickle
import signal
import struct
import sys
from typing import BinaryIO, NamedTuple, cast

from relay import vendors
from relay.errors import Refused
from relay.events.message import Origin
from relay.events.source_rules import SourceRules
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.process.safe_traceback import safe_traceback
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

_NICE = 10  # on a busy machine the small deliveries come first
LENGTH = struct.Struct(">Q")
"""What comes before each pickle: its length in bytes."""


class Question(NamedTuple):
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
Result = ProcessedDelivery | Refused | _Failure  # no class of this module: there it is __main__


def _answer_all(questions: BinaryIO, results: BinaryIO) -> None:
    while head := questions.read(LENGTH.size):
        (size,) = LENGTH.unpack(head)
        question: Question = pickle.loads(questions.read(size))  # noqa: S301  our own
        pickled = pickle.dumps(_result_of(question))
        results.write(LENGTH.pack(len(pickled)))
        results.write(pickled)
        results.flush()


def _result_of(question: Question) -> Result:
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
