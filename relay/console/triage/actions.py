"""Acting on a group of waiting messages: release, retry, drop; one action at a time, at a rate."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from consumers.kit.queues.headers import DeadLetter, retry_properties
from consumers.kit.queues.topology import exchange
from relay import vendors
from relay.broker.connection import declare
from relay.broker.reconnect import raise_if_cancelled
from relay.cli import service_queue
from relay.cli.quarantined_delivery import QuarantinedDelivery, process_again, publish
from relay.console.access import Visitor
from relay.console.deployment import Deployment
from relay.console.guard import log_action
from relay.console.triage.waiting import MAX_SCANNED, Waiting, WaitingQueue, WaitingReader, key_of
from relay.errors import BrokerError, RelayError

log = structlog.get_logger("relay")

ACTIONS = ("release", "retry", "drop")
RATES = (10, 50, 200, 0)
"""Messages per second; 0 is as fast as they go."""
_MAX_TRIED = 100
_TRY_LIMIT_S = 20.0
_MAX_IDS_LOGGED = 100

_Handle = Callable[[Waiting, AbstractIncomingMessage], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Job:
    """An action under way, or the last one that was.

    Args:
        action: release, retry or drop.
        queue: whose messages.
        key: of their group.
        wanted: how many, at most.
        rate: messages per second; 0 for no limit.
        user: who asked for it.
    """

    action: str
    queue: WaitingQueue
    key: str
    wanted: int
    rate: int
    user: str
    done: int = 0
    kept: int = 0
    problem: str = ""
    is_running: bool = True
    ids: list[str] = field(default_factory=list)

    @property
    def past(self) -> str:
        """The action as something that was done."""
        return {"release": "released", "retry": "put back", "drop": "dropped"}[self.action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the current code makes of waiting deliveries.

    Args:
        tried: how many.
        outcomes: how often each.
        event: the first event that one would become, or None.
        event_id: of the delivery that it would come from.
    """

    tried: int
    outcomes: Counter[str]
    event: Any
    event_id: str


class Actions:
    """Does one action at a time.

    Args:
        deployment: the sources and the broker.
        reader: takes queues in hand.
    """

    def __init__(self, deployment: Deployment, reader: WaitingReader) -> None:
        self.job: Job | None = None
        self._deployment = deployment
        self._reader = reader
        self._task: asyncio.Task[None] | None = None

    def start(self, job: Job, visitor: Visitor) -> None:
        """Begin an action.

        Raises:
            RelayError: another one is under way, or it does not go with the queue.
        """
        if self.job and self.job.is_running:
            raise RelayError("Another action is under way; wait until it is done.")
        if job.action == ("release" if job.queue.service else "retry"):
            raise RelayError(f"One can't {job.action} what waits in {job.queue.name}.")
        log_action(visitor, job.action, queue=job.queue.name, group=job.key, count=job.wanted)
        self.job = job
        self._task = asyncio.create_task(self._run(job), name="console action")

    async def stop(self) -> None:
        """End an action that is under way; what it has not done yet waits on."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, job: Job) -> None:
        try:
            async with (
                self._reader.opened(job.queue) as connection,
                self._handler(job, connection) as handle,
            ):
                await self._go_through(job, connection, handle)
        except (RelayError, TimeoutError) as error:
            job.problem = str(error) or "RabbitMQ did not answer in time."
        finally:
            job.is_running = False
            self._reader.forget(job.queue.name)
            log.info(
                "console action done", action=job.action, queue=job.queue.name, group=job.key,
                user=job.user, done=job.done, kept=job.kept, ids=job.ids, reason=job.problem,
            )  # fmt: skip

    async def _go_through(self, job: Job, connection: AbstractConnection, handle: _Handle) -> None:
        scanned, started = 0, time.monotonic()
        async for waiting, message, _ in job.queue.messages(connection):
            raise_if_cancelled()
            scanned += 1
            if key_of(waiting) == job.key:
                try:
                    await handle(waiting, message)
                    job.done += 1
                    if len(job.ids) < _MAX_IDS_LOGGED:
                        job.ids.append(waiting.id)
                except BrokerError:
                    raise  # the others would fail, too
                except RelayError as error:
                    job.kept += 1
                    job.problem = str(error)
            if scanned == MAX_SCANNED or job.done + job.kept >= job.wanted:
                return
            if job.rate:
                due = started + job.done / job.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    @contextlib.asynccontextmanager
    async def _handler(self, job: Job, connection: AbstractConnection) -> AsyncIterator[_Handle]:
        """Yield what is done to each message."""
        match job.action:
            case "drop":
                yield _drop
            case "retry":
                broker, service = self._deployment.broker, job.queue.service
                async with service_queue.opened(broker, service, exchange(service)) as target:

                    async def retry(waiting: Waiting, message: AbstractIncomingMessage) -> None:
                        await _retry(target, waiting, message)

                    yield retry
            case _:
                await declare(connection, self._deployment.topology, passive=True)
                channel = await connection.channel(on_return_raises=True)

                async def release(waiting: Waiting, message: AbstractIncomingMessage) -> None:
                    messages = await asyncio.to_thread(self._process, waiting, message.body)
                    await publish(channel, self._deployment.exchange_of, messages)
                    await message.ack()

                yield release

    def _process(self, waiting: Waiting, body: bytes) -> Any:
        if not isinstance(waiting, QuarantinedDelivery):
            raise RelayError("it is no delivery")
        return process_again(waiting, body, self._deployment.sources, vendors.discover())

    async def try_out(self, queue: WaitingQueue, key: str) -> Trial:
        """Return what the current code would make of up to 100 deliveries of a group.

        Raises:
            RelayError: they can't be read.
        """
        outcomes: Counter[str] = Counter()
        event, event_id = None, ""
        async with self._reader.opened(queue) as connection, asyncio.timeout(_TRY_LIMIT_S):
            scanned = 0
            async for waiting, message, _ in queue.messages(connection):
                scanned += 1
                if key_of(waiting) == key:
                    outcome, found = await asyncio.to_thread(self._outcome, waiting, message.body)
                    outcomes[outcome] += 1
                    if event is None and found is not None:
                        event, event_id = found, waiting.id
                if scanned == MAX_SCANNED or outcomes.total() == _MAX_TRIED:
                    break
        return Trial(tried=outcomes.total(), outcomes=outcomes, event=event, event_id=event_id)

    def _outcome(self, waiting: Waiting, body: bytes) -> tuple[str, Any]:
        try:
            messages = self._process(waiting, body)
        except RelayError as error:
            return f"stays: {error}", None
        events = [message for message in messages if not message.is_quarantined]
        if not events:
            return "stays: no event in it is understood", None
        return f"goes out as {events[0].routing_key}", orjson.loads(events[0].body)


async def _drop(_: Waiting, message: AbstractIncomingMessage) -> None:
    await message.ack()


async def _retry(
    target: service_queue.ServiceQueue, waiting: Waiting, message: AbstractIncomingMessage
) -> None:
    if not isinstance(waiting, DeadLetter):
        raise RelayError("it is no dead letter")
    first = retry_properties(message.properties, attempt=1, routing_key=waiting.routing_key)
    await target.publish([(first, message.body)])
    await message.ack()
