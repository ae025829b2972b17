"""The relay's own parts between a delivery and the broker, in a process that can be killed."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from relay.broker.publisher import BrokerOptions, Publisher
from relay.configured import exchange_chooser
from relay.events.message import Message
from relay.events.topology import Exchange, Topology, quarantine_exchange
from relay.forwarder import Forwarder
from relay.observability.metrics import BrokerMetrics
from relay.outbox.database import FILE_NAME
from relay.outbox.limits import OutboxLimits
from relay.outbox.outbox import Outbox
from relay.outbox.reserve import RESERVE_NAME
from relay.outbox.stats import Stats
from relay.settings import Settings
from tests.model.virtual_time import DiskGate, VirtualLoop

_MAX_IN_FLIGHT = 7
"""So few that the broker's silence soon makes events wait."""


def _copy(source: str, target: str) -> None:
    if source.endswith(RESERVE_NAME):  # only its size matters
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


class ModelDelivery:
    """A delivery that somebody waits for."""

    def __init__(self, messages: list[Message], done: Callable[[Exception | None], None]) -> None:
        self.messages = messages
        self._done = done

    def complete(self, error: Exception | None) -> None:
        self._done(error)


class Receiver:
    """One process: outbox, forwarder and publisher, as app.py puts them together.

    Args:
        loop: runs all of it.
        root: a folder whose `N/` are the disks of one process after the other.
        settings: of the relay.
    """

    def __init__(self, loop: VirtualLoop, root: Path, settings: Settings) -> None:
        self._loop = loop
        self._root = root
        self._settings = settings
        self._generation = 0
        self.directory = root / "0"
        self.gate, self._is_failing = DiskGate(), False
        self.outbox: Outbox
        self.forwarder: Forwarder
        self.metrics: BrokerMetrics
        self._publishing: asyncio.Task[None]

    @property
    def path(self) -> Path:
        return self.directory / FILE_NAME

    def start(self) -> None:
        """Begin a process with what is on disk."""
        self.gate, self._is_failing = DiskGate(), False
        self._loop.do(lambda: self._loop.create_task(self._start()))

    async def _start(self) -> None:
        committed, settings = asyncio.Event(), self._settings
        self.outbox = Outbox(
            directory=self.directory,
            max_bytes=1 << 26,
            committed=committed,
            limits=OutboxLimits(recent_bytes=8000, read_bytes=5000),
        )
        await self.outbox.open()
        gate = self.gate
        self.outbox._store.db.set_trace_callback(gate.pass_through)
        self._loop.watch(self.outbox._thread._executor, gate)
        chooser = exchange_chooser(settings)
        self.forwarder = Forwarder(
            outbox=self.outbox,
            committed=committed,
            exchange_of=chooser,
            max_in_flight=_MAX_IN_FLIGHT,
        )
        self.metrics = BrokerMetrics(None)
        exchange = settings.broker.exchange
        names = (quarantine_exchange(exchange), exchange)
        publisher = Publisher(
            BrokerOptions(
                urls=["amqp://guest:guest@peer/"],
                declare_topology=True,
                heartbeat_s=0,
                confirm_timeout_s=settings.broker.confirm_timeout_s,
            ),
            exchange_of=chooser,
            topology=Topology(exchanges=tuple(Exchange(name=n, kind="topic") for n in names)),
            metrics=self.metrics,
        )
        self._publishing = asyncio.create_task(publisher.run(self.forwarder.forward))

    @property
    def is_disk_well(self) -> bool:
        return not (self.gate.is_closed or self._is_failing)

    def treat_disk(self, state: str) -> None:
        """Let the disk hang before a statement, let it fail, or be "well" again."""
        self.gate.open()
        self._loop.catch_up()
        self._is_failing = state == "fails"
        # What SQLite calls this for, an operation of a statement, it gives up as interrupted.
        self.outbox._store.db.set_progress_handler((lambda: 1) if self._is_failing else None, 1)
        if state not in ("fails", "well"):
            self.gate.close(state)

    def stats(self) -> Stats:
        """Return what the outbox says of itself."""
        asked = self._loop.create_task(self.outbox.stats())
        self._loop.settle()
        return asked.result()

    def kill(self) -> None:
        """End the process as SIGKILL does: the files stay as they are at this moment."""
        self._generation += 1
        last, self.directory = self.directory, self._root / str(self._generation)
        shutil.copytree(
            last, self.directory, ignore=shutil.ignore_patterns("*-shm"), copy_function=_copy
        )
        self._end()
        shutil.rmtree(last)

    def stop(self) -> None:
        """End the process in order."""
        self._end()

    def _end(self) -> None:
        self.gate.open()
        self._loop.do(lambda: self._loop.create_task(self._close()))
        self._loop.advance(15)  # what it waits for has time limits

    async def _close(self) -> None:
        self._publishing.cancel()
        await asyncio.wait([self._publishing])
        await self.outbox.close()
