"""Deliveries at a constant rate while RabbitMQ is killed, and what became of each.

Like most vendors the sender does not retry, and does not wait for one answer before the next
delivery. What is in the queue is read only afterwards, so that no message is counted twice because
its reader lost an ack.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aio_pika
import aiohttp

from tests.bench.harness.bench_harness import Candidate
from tests.bench.peers.processes import started
from tests.bench.peers.systems import System
from tests.faults.harness import deliveries
from tests.faults.harness.journal import NO_ANSWER
from tests.faults.harness.queues import Queues
from tests.support.relay_process import SECRET
from tests.support.servers.proxy import Proxy

_POLL_S = 0.05
_QUARANTINE_MAX_LENGTH = (
    100_000  # the relay's default; what it finds must be as it would declare it
)
_HEADERS = {"Authorization": SECRET, "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """How long all takes.

    Args:
        rate: deliveries per second.
        count: of deliveries.
        conversations: they belong to in turn.
        begins_s: when RabbitMQ is killed. The quorum queue is some seconds old by then, or RabbitMQ
            3.10 may not elect a leader for it again.
        lasts_s: how long nobody reaches RabbitMQ; longer if it takes longer to start.
        give_up_s: how long a sender waits for an answer.
        settle_s: how long to wait for what was acknowledged, at most.
        quiet_s: how long nothing more must arrive until all is counted.
    """

    rate: float = 100.0
    count: int = 3_000
    conversations: int = 20
    begins_s: float = 10.0
    lasts_s: float = 10.0
    give_up_s: float = 10.0
    settle_s: float = 60.0
    quiet_s: float = 5.0


class Sent(NamedTuple):
    """A delivery, as its sender knows it."""

    number: int
    conversation: int
    sent_at: float
    answered_at: float
    status: int  # NO_ANSWER: nobody knows what became of it

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the deliveries.

    Args:
        sent: all of them.
        answered: with 2xx.
        lost: answered with 2xx, and never delivered.
        twice: delivered more than once.
        out_of_order: answered with 2xx, and first delivered after another of the same conversation
            that was sent only after that answer.
        statuses: of the answers, by number; "0" is none.
        away_s: how long nobody reached RabbitMQ.
    """

    sent: int
    answered: int
    lost: int
    twice: int
    out_of_order: int
    statuses: dict[str, int]
    away_s: float = 0.0


def outcome(sent: Collection[Sent], arrived: Sequence[int], away_s: float = 0.0) -> Outcome:
    """Return what became of deliveries, of which these numbers arrived, in this order."""
    accepted = {each.number for each in sent if each.is_accepted}
    times = Counter(arrived)
    statuses = Counter(str(each.status) for each in sent)
    return Outcome(
        sent=len(sent),
        answered=len(accepted),
        lost=len(accepted - times.keys()),
        twice=sum(count > 1 for count in times.values()),
        out_of_order=_overtaken({each.number: each for each in sent}, dict.fromkeys(arrived)),
        statuses=dict(sorted(statuses.items())),
        away_s=round(away_s, 1),
    )


def _overtaken(sent: dict[int, Sent], arrived: Iterable[int]) -> int:
    latest_sent_at: dict[int, float] = {}
    found = 0
    for each in [sent[number] for number in arrived if number in sent]:
        latest = latest_sent_at.get(each.conversation, 0.0)
        found += each.is_accepted and each.answered_at <= latest
        latest_sent_at[each.conversation] = max(latest, each.sent_at)
    return found


async def play(
    node: Any, directory: Path, systems: Sequence[System], outage: Outage
) -> dict[str, Outcome]:
    """Let systems meet one outage at the same time; return what it did to each, by name.

    Args:
        node: a broker that may be killed.
        directory: for their files.
        systems: each has an exchange and a queue of its own.
        outage: how long all takes.
    """
    async with Proxy(node.url) as proxy, AsyncExitStack() as stack:
        queues = {each.name: _queues(node, each) for each in systems}
        candidates = []
        for each in systems:
            await queues[each.name].declare()
            stack.push_async_callback(queues[each.name].delete, ())
            place = directory / f"outage-{each.name}"
            run = started(each, url=proxy.url, exchange=queues[each.name].exchange, directory=place)
            candidates.append(await stack.enter_async_context(run))
        async with asyncio.TaskGroup() as group:
            striking = group.create_task(_strike(node, proxy, outage))
            sending = [group.create_task(_send(each, outage)) for each in candidates]
        sent = {each.name: task.result() for each, task in zip(systems, sending, strict=True)}
        async with asyncio.TaskGroup() as group:
            reading = {
                name: group.create_task(_read(node.url, queues[name].all, found, outage))
                for name, found in sent.items()
            }
        away_s = striking.result()
        return {name: outcome(sent[name], task.result(), away_s) for name, task in reading.items()}


def _queues(node: Any, system: System) -> Queues:
    return Queues(
        lambda: node.url,
        f"peers-{system.name}",
        {},
        quarantine_max_length=_QUARANTINE_MAX_LENGTH,
    )


async def _strike(node: Any, proxy: Proxy, outage: Outage) -> float:
    """Kill RabbitMQ, and let nobody reach the one that is started until the time is over."""
    await asyncio.sleep(outage.begins_s)
    proxy.is_open = False
    began_at = time.monotonic()
    await asyncio.to_thread(node.kill)
    proxy.cut(refuse=True)
    await asyncio.to_thread(node.start)
    await asyncio.sleep(began_at + outage.lasts_s - time.monotonic())
    proxy.is_open = True
    return time.monotonic() - began_at


async def _send(candidate: Candidate, outage: Outage) -> list[Sent]:
    url = f"http://127.0.0.1:{candidate.port}/in/swiftsell"
    began_at = time.monotonic()
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=outage.give_up_s),
        ) as http,
        asyncio.TaskGroup() as group,
    ):
        tasks = []
        for number in range(outage.count):
            await asyncio.sleep(began_at + number / outage.rate - time.monotonic())
            conversation = number % outage.conversations
            tasks.append(group.create_task(_deliver(http, url, number, conversation)))
    return [task.result() for task in tasks]


async def _deliver(http: aiohttp.ClientSession, url: str, number: int, conversation: int) -> Sent:
    body = deliveries.body_of_one(number, str(conversation))
    sent_at = time.monotonic()
    status = NO_ANSWER
    try:
        async with http.post(url, data=body, headers=_HEADERS) as response:
            await response.read()
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        pass
    return Sent(number, conversation, sent_at, time.monotonic(), status)


async def _read(url: str, queue_name: str, sent: Iterable[Sent], outage: Outage) -> list[int]:
    """Return the numbers of all deliveries in a queue, in its order."""
    missing = {each.number for each in sent if each.is_accepted}
    arrived: list[int] = []
    began_at = latest_at = time.monotonic()

    async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal latest_at
        number, _ = deliveries.mark_in(message.body) or (-1, -1)
        arrived.append(number)
        missing.discard(number)
        latest_at = time.monotonic()

    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(queue_name)
        await queue.consume(note, no_ack=True)
        while time.monotonic() < began_at + outage.settle_s:
            if not missing and time.monotonic() >= latest_at + outage.quiet_s:
                break
            await asyncio.sleep(_POLL_S)
    return arrived
