"""The load: a constant rate of deliveries over connections kept alive, each answer written down.

    python -m tests.faults.harness.load OPTIONS

OPTIONS is one JSON object, see `Options`. SIGTERM ends it once every request under way is answered
or given up. Like the vendors it does not retry: a delivery that fails is written down as failed.
Plain sockets, since an HTTP client would take more of the machine than the relay itself.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import orjson
import uvloop

from relay.process import tasks
from tests.faults.harness import deliveries
from tests.faults.harness.deliveries import Planned
from tests.faults.harness.journal import ACCEPTED, NO_ANSWER, Delivery, Poison, Writer

_RECONNECT_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the load goes.

    Args:
        host, port: of the relay, or of what stands before it.
        journal: where deliveries are written down.
        seed: what all deliveries follow from.
        secret: of the source.
        rate: deliveries per second, of all senders together.
        senders: connections; each sends one delivery at a time.
        conversations: of each sender, which are its alone.
        give_up_s: how long a sender waits for an answer.
        poison: why the broker does not take some of the events, "" if there are none.
    """

    host: str
    port: int
    journal: str
    seed: int
    secret: str
    rate: float
    senders: int = 16
    conversations: int = 4
    give_up_s: float = 15.0
    poison: Poison = ""


class _Sender:
    """One connection. Its deliveries are numbered so that no other sender has the same numbers."""

    def __init__(self, options: Options, number: int, writer: Writer, stop: asyncio.Event) -> None:
        self._options = options
        self._number = number
        self._journal = writer
        self._stop = stop
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self) -> None:
        """Send until told to stop."""
        options = self._options
        pause_s = options.senders / options.rate
        due = monotonic() + pause_s * self._number / options.senders
        number = self._number
        while not self._stop.is_set():
            await self._wait(due - monotonic())
            due = max(due + pause_s, monotonic())  # what an outage kept back is not made up for
            planned = deliveries.plan(
                options.seed,
                number,
                sender=self._number,
                conversations=options.conversations,
                secret=options.secret,
                poison=options.poison,
            )
            for _ in range(planned.times):
                await self._deliver(planned)
            number += options.senders
        self._disconnect()

    async def _wait(self, delay_s: float) -> None:
        if delay_s > 0:
            try:
                async with asyncio.timeout(delay_s):
                    await self._stop.wait()
            except TimeoutError:
                return

    async def _deliver(self, planned: Planned) -> None:
        sent_at = monotonic()
        status = NO_ANSWER
        ids: list[str] = []
        ignored: list[str] = []
        try:
            async with asyncio.timeout(self._options.give_up_s):
                status, ids, ignored = await self._exchange(planned.request)
        except (OSError, EOFError, TimeoutError):
            self._disconnect()
            await self._wait(_RECONNECT_S)
        entry = Delivery(
            number=planned.number,
            conversation=planned.conversation,
            kind=planned.kind,
            sent_at=sent_at,
            answered_at=monotonic(),
            status=status,
            ids=ids,
            ignored=ignored,
        )
        self._journal.write(entry)

    async def _exchange(self, request: bytes) -> tuple[int, list[str], list[str]]:
        if self._connection is None:
            self._connection = await asyncio.open_connection(self._options.host, self._options.port)
        reader, writer = self._connection
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            self._disconnect()
        if status != ACCEPTED:
            return status, [], []
        answer = orjson.loads(body)
        ids = answer["events"] if "events" in answer else [answer["id"]]
        return status, ids, answer.get("ignored", [])

    def _disconnect(self) -> None:
        if self._connection:
            self._connection[1].close()
            self._connection = None


async def _run(options: Options) -> None:
    stop = tasks.stop_signal()
    writer = Writer(Path(options.journal))
    senders = [_Sender(options, number, writer, stop) for number in range(options.senders)]
    await asyncio.gather(*[sender.run() for sender in senders])


if __name__ == "__main__":
    uvloop.run(_run(Options(**json.loads(sys.argv[1]))))
