"""The recorder: everything out of all queues, each message written down before it is acked.

It acks many at a time, so that it empties a backlog faster than the load fills it.

    python -m tests.faults.harness.recorder OPTIONS

OPTIONS is one JSON object, see `Options`. It connects again for ever, to one broker after the
other, and ends on SIGTERM. What it reads twice because its own ack was lost counts as a duplicate.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from relay.process import tasks
from tests.faults.harness import deliveries
from tests.faults.harness.journal import Arrival, Writer

_CONNECT_S = 5.0
_AGAIN_S = 0.2
_PREFETCH = 2000
_ACK_EVERY_S = 0.05
_HEARTBEAT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is recorded.

    Args:
        urls: brokers, tried in turn.
        journal: where arrivals are written down.
        queues: the name each queue has in the journal, by its own name.
    """

    urls: list[str]
    journal: str
    queues: dict[str, str]


class _Acks:
    """Acknowledge all that was written, up to the latest, as often as pays."""

    def __init__(self) -> None:
        self.latest: AbstractIncomingMessage | None = None

    async def send(self) -> None:
        """Go on until cancelled, or until the connection is lost."""
        while True:
            await asyncio.sleep(_ACK_EVERY_S)
            latest, self.latest = self.latest, None
            if latest:
                await latest.ack(multiple=True)


async def _record(url: str, options: Options, journal: Writer) -> None:
    """Consume until the connection is lost."""
    connection = await aio_pika.connect(url, timeout=_CONNECT_S, heartbeat=_HEARTBEAT_S)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        closed = await channel.get_underlay_channel()
        acks = _Acks()
        for name, label in options.queues.items():
            queue = await channel.get_queue(name)
            await queue.consume(_writing(label, journal, acks))
        async with tasks.task("acks", acks.send()) as sending:
            await asyncio.wait({closed.closing, sending}, return_when=asyncio.FIRST_COMPLETED)


def _writing(
    label: str, journal: Writer, acks: _Acks
) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
    async def write(message: AbstractIncomingMessage) -> None:
        number, index = deliveries.mark_in(message.body) or (-1, -1)
        journal.write(Arrival(label, message.message_id or "", number, index, monotonic()))
        acks.latest = message

    return write


async def _for_ever(options: Options, journal: Writer) -> None:
    for url in itertools.cycle(options.urls):
        try:
            await _record(url, options, journal)
        except Exception as error:  # noqa: BLE001  whatever it is, it must go on recording
            sys.stderr.write(f"recorder: {type(error).__name__}: {error}\n")
        except asyncio.CancelledError:  # aiormq cancels its callers when a connection falls silent
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
        await asyncio.sleep(_AGAIN_S)


async def _run(options: Options) -> None:
    stop = tasks.stop_signal()
    async with tasks.task(
        "recorder", _for_ever(options, Writer(Path(options.journal)))
    ) as recording:
        await tasks.first(stop.wait(), recording)


if __name__ == "__main__":
    uvloop.run(_run(Options(**json.loads(sys.argv[1]))))
