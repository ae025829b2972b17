"""One candidate of consumers.py: consume what lies in a queue, print what that took as JSON.

    python -m tests.bench.candidates.consumer KIND URL QUEUE COUNT DIRECTORY

KIND is `aio-pika` (`queue.consume`, then `message.ack`), `kit` (a handler that does nothing,
without the `seen` store), `kit-seen` (with it) or `archive` (into SQLite).
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from prometheus_client import CollectorRegistry

from consumers.archive import service as archive
from consumers.kit import Consumer, ConsumerSettings, Event
from consumers.kit.service import Opened, run_service
from consumers.kit.settings import SectionT, SharedSettings
from relay.observability import logs
from relay.settings import BrokerSettings, LogSettings

_AIO_PIKA_PREFETCH = 100


class Meter:
    """Counts events, and the time from the first to the last."""

    def __init__(self, count: int) -> None:
        self._left = self._count = count
        self._began: tuple[float, float] | None = None
        self.done = asyncio.Event()

    def note(self, count: int = 1) -> None:
        """Count events that are about to be, or were, dealt with."""
        if self._began is None:
            self._began = time.perf_counter(), _cpu_s()
        self._left -= count
        if self._left <= 0:
            self.done.set()

    def result(self) -> dict[str, float]:
        """Return what it took, all events done."""
        began_at, cpu_began = self._began or (0.0, 0.0)
        return {
            "events": self._count - self._left,
            "wall_s": time.perf_counter() - began_at,
            "cpu_s": _cpu_s() - cpu_began,
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _aio_pika(url: str, queue_name: str, meter: Meter) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_AIO_PIKA_PREFETCH)
        queue = await channel.get_queue(queue_name)

        async def receive(message: AbstractIncomingMessage) -> None:
            meter.note()
            await message.ack()

        await queue.consume(receive)
        await meter.done.wait()


async def _kit(url: str, queue_name: str, meter: Meter, *, seen: str) -> None:
    @contextlib.asynccontextmanager
    async def opened(
        _: ConsumerSettings, __: CollectorRegistry
    ) -> AsyncIterator[Sequence[Consumer]]:
        async def handle(_: Event) -> None:
            meter.note()

        yield [Consumer(queue_name, bindings=["bench"], handler=handle)]

    await _serve(url, ConsumerSettings(seen=seen), opened, meter)


async def _archive(url: str, queue_name: str, meter: Meter, directory: Path) -> None:
    settings = archive.ArchiveSettings(database=f"sqlite:{directory / 'archive.db'}")

    @contextlib.asynccontextmanager
    async def opened(
        settings: archive.ArchiveSettings, registry: CollectorRegistry
    ) -> AsyncIterator[Sequence[Consumer]]:
        async with archive.opened(settings, registry) as (theirs,):
            store = theirs.handle_batch
            ours = Consumer(queue_name, bindings=["bench"])

            @ours.batch_handler(limit=theirs.batch_limit)
            async def handle(events: Sequence[Event]) -> None:
                meter.note(0)
                await store(events)
                meter.note(len(events))

            yield [ours]

    await _serve(url, settings, opened, meter)


async def _serve(url: str, settings: SectionT, opened: Opened[SectionT], meter: Meter) -> None:
    shared = SharedSettings.model_construct(
        broker=BrokerSettings(urls=[url], exchange="bench"), log=LogSettings(level="error")
    )
    running = asyncio.create_task(run_service("bench", shared, settings, opened))
    await meter.done.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running


async def _run(kind: str, url: str, queue: str, count: int, directory: Path) -> dict[str, float]:
    meter = Meter(count)
    match kind:
        case "aio-pika":
            await _aio_pika(url, queue, meter)
        case "kit":
            await _kit(url, queue, meter, seen="")
        case "kit-seen":
            await _kit(url, queue, meter, seen=f"sqlite:{directory / 'seen.db'}")
        case "archive":
            await _archive(url, queue, meter, directory)
        case _:
            raise SystemExit(f"there is no candidate {kind}")
    return meter.result()


if __name__ == "__main__":
    logs.configure(style="json", level="error")
    kind, url, queue, count, directory = sys.argv[1:]
    print(json.dumps(uvloop.run(_run(kind, url, queue, int(count), Path(directory)))))
