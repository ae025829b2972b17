"""The relay under attack, and how it is told whether an attack did it any harm."""

import contextlib
import itertools
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from relay.events import event, topology
from tests.faults.harness.queues import Queues
from tests.hostile import attacker, memory, question_attacks
from tests.hostile.attack import VENDORS, Attack, shot, signed
from tests.hostile.connection_attacks import READ_TIMEOUT_S
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered

MAX_BYTES = 640 * 1024 * 1024
"""Of relay and aside together. Each is 60 MiB without work; 5 MiB of the smallest JSON values are
200 MiB once parsed. Bodies that come, events that wait for the disk and events that wait for their
confirm may be 64 MiB each, some of it twice. What is beyond grows with something nobody bounded."""

_ID = re.compile(r"[0-9a-f]{32}")
_ROUTING_KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
_TYPES = event.TYPES | {"quarantined"}
_FAILURES = ("delivery failed", "vendor failed", "Traceback")


class Target:
    """A relay with a source per vendor, and a consumer of all it publishes.

    Args:
        directory: for its settings, log and outbox.
        broker_url: where its RabbitMQ is.
        exchange: that nobody else uses.
    """

    def __init__(self, directory: Path, broker_url: str, exchange: str) -> None:
        self._broker_url = broker_url
        self._exchange = exchange
        self._queues = Queues(lambda: broker_url, exchange, {})
        self._log = directory / "relay.log"
        self._log_read = 0
        self._stack = contextlib.AsyncExitStack()
        self._numbers = itertools.count()
        self._accepted: Counter[str] = Counter()
        self.relay = RelayProcess(
            directory,
            broker_url=broker_url,
            exchange=exchange,
            vendors=tuple(VENDORS),
            ingress={"read_timeout_s": READ_TIMEOUT_S},
            **question_attacks.SECTIONS,
        )

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._queues.delete, [])
            connection = await stack.enter_async_context(await aio_pika.connect(self._broker_url))
            recorder = Recorder(connection, self._exchange)
            self._recorder = await stack.enter_async_context(recorder)
            await stack.enter_async_context(self.relay)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    @property
    def port(self) -> int:
        return int(self.relay.url.rpartition(":")[2])

    @property
    def peak_bytes(self) -> int:
        """The most memory it has had since the last attack began."""
        return memory.peak_bytes(self.relay.process.pid)

    def reset_peak(self) -> None:
        memory.reset_peak(self.relay.process.pid)

    async def strike(self, attack: Attack) -> tuple[Counter[int], list[str]]:
        """Let it be attacked; return the statuses it answered, and what should not have been."""
        heard = await attacker.strike(self.port, attack)
        for _, answer in heard:
            self._accepted.update(answer.ids)
        statuses = Counter(itertools.chain.from_iterable(answer.statuses for _, answer in heard))
        return statuses, [problem for shot, answer in heard if (problem := answer.problem(shot))]

    async def harm(self, events_of_others: int = 0) -> list[str]:
        """Return what is wrong with it since it was asked last, once all has gone out.

        Args:
            events_of_others: accepted from other callers than attackers.
        """
        await self._deliver()
        await eventually(self.relay.is_drained)
        wanted = self._accepted.total() + events_of_others
        await eventually(lambda: len(self._arrived()) >= wanted)
        arrived = Counter([message.message_id or "" for message in self._arrived()])
        found = [oddity for message in self._arrived() if (oddity := _oddity(message))]
        if arrived.total() != wanted or not self._accepted <= arrived:
            found.append(f"{wanted} accepted, {arrived.total()} arrived, or other ones")
        self._forget()
        status, readiness = await self.relay.readiness()
        if status != 200:
            found.append(f"/readyz answers {status}: {readiness}")
        return found + [
            line for line in self._new_lines() if any(word in line for word in _FAILURES)
        ]

    def _arrived(self) -> list[AbstractIncomingMessage]:
        return self._recorder.messages + self._recorder.quarantined

    def _new_lines(self) -> list[str]:
        """Return what it has logged since this was asked last."""
        with self._log.open() as log:
            log.seek(self._log_read)
            lines = log.readlines()
            self._log_read = log.tell()
        return lines

    def _forget(self) -> None:
        self._accepted.clear()
        self._recorder.messages.clear()
        self._recorder.quarantined.clear()

    async def _deliver(self) -> None:
        """Be an honest caller: of an event, and of something for the quarantine."""
        number = next(self._numbers)
        for wire in (
            signed("swiftsell", numbered(1, start=number)[0]),
            signed("acquire", b"no JSON: %d" % number),
        ):
            heard = await attacker.fire(self.port, shot("honest", wire, 200))
            assert heard.statuses == [200], heard
            self._accepted.update(heard.ids)


def _oddity(message: AbstractIncomingMessage) -> str:
    """Return what of a message no consumer should be sent."""
    key = message.routing_key or ""
    if not _ROUTING_KEY.fullmatch(key) or len(key) > topology.MAX_ROUTING_KEY_BYTES:
        return f"the routing key {key!r}"
    if not _ID.fullmatch(message.message_id or ""):
        return f"the id {message.message_id!r}"
    if message.type not in _TYPES:
        return f"the type {message.type!r}"
    return ""
