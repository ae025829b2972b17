"""From a delivery to its acknowledgement: decoded, queued by key, handled, then done or moved.

A message is acknowledged only when its event is handled or its copy is confirmed in another queue.
A crash in between makes a duplicate, never a loss.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from consumers.kit.consuming.calling import Caller, Result
from consumers.kit.consuming.decision import Dead, Done, Retry, Wait, decide, described
from consumers.kit.consuming.deduplicator import Deduplicator
from consumers.kit.consuming.delivery import Delivery, Received, read_delivery
from consumers.kit.consuming.inbox import Inbox
from consumers.kit.consuming.keyed_queue import KeyedQueue
from consumers.kit.consuming.outage import Outage
from consumers.kit.consuming.republisher import Republisher, Restore
from consumers.kit.errors import NotAnEvent
from consumers.kit.event import Event
from consumers.kit.metrics import OneConsumerMetrics
from consumers.kit.seen.store import SeenStore
from relay.confirm_sink import ConfirmSink
from relay.errors import BrokerError, RelayError

HOLD_LIMIT_S = 600.0
"""How long a message waits in hand for something that is down; it then goes to the end of its
queue. RabbitMQ takes messages back after 30 minutes, and counts that as a delivery."""
_FLUSH_LIMIT_S = 2.0
_FINISH_LIMIT_S = 120.0
"""How long a lost connection is not replaced, so that handlers can finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How a consumer's events are handled.

    Args:
        caller: calls its function.
        seen: which events to skip; None when the function sees to that itself.
        concurrency: how many messages, or batches, are handled at the same time.
        retry_delays_s: see decision.decide.
        metrics: what is counted.
        hold_limit_s: how long a message may wait in hand.
    """

    caller: Caller
    seen: SeenStore | None
    concurrency: int
    retry_delays_s: Sequence[float]
    metrics: OneConsumerMetrics
    hold_limit_s: float = HOLD_LIMIT_S


class HandlerPool:
    """The workers that handle the messages of one inbox, until it closes.

    Args:
        service: the consumer's name, and its queue's.
        handling: how its events are handled.
        confirm_sink: publishes with confirms what moves to another queue.
        restore: declares the service's queues, in case one of them is gone.
    """

    def __init__(
        self, service: str, handling: Handling, *, confirm_sink: ConfirmSink, restore: Restore
    ) -> None:
        self._handling = handling
        self._metrics = handling.metrics
        self._outage = Outage(service)
        queue_outage, seen_outage = Outage(service), Outage(service)
        self._outages = (self._outage, queue_outage, seen_outage)
        self._republisher = Republisher(
            service, confirm_sink=confirm_sink, restore=restore, outage=queue_outage
        )
        self._queue = KeyedQueue()
        self._deduplicator: Deduplicator | None = None
        if handling.seen:
            self._deduplicator = Deduplicator(
                handling.seen, outage=seen_outage, hold_limit_s=handling.hold_limit_s
            )
        self._workers: list[asyncio.Task[None]] = []
        self._inbox: Inbox | None = None
        self._log = structlog.get_logger("consumers").bind(consumer=service)

    @property
    def waiting_for(self) -> str | None:
        """What is waited for, if anything."""
        return next((outage.reason for outage in self._outages if outage.reason), None)

    def receive(self, message: Received) -> None:
        """Take a message in hand."""
        delivery = read_delivery(message)
        if self._deduplicator and isinstance(delivery.event, Event):
            self._deduplicator.add(delivery)
        else:
            self._queue.put(delivery)

    async def run(self, inbox: Inbox) -> None:
        """Work until the inbox closes.

        Raises:
            BrokerError: it closed. Handlers that were running have finished.
        """
        self._inbox = inbox
        self._workers = [
            asyncio.create_task(self._work()) for _ in range(self._handling.concurrency)
        ]
        beside = [inbox.write()]
        if self._deduplicator:
            beside += [self._check(self._deduplicator), self._mark(self._deduplicator)]
        tasks = [*self._workers, *[asyncio.create_task(work) for work in beside]]
        try:
            closed = await inbox.until_closed(tasks)
            self.close()
            await asyncio.wait(self._workers, timeout=_FINISH_LIMIT_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise closed

    def close(self) -> None:
        """Start no handler any more. Those that run go on."""
        self._queue.close()
        for outage in self._outages:
            outage.stop_waiting()

    async def finish(self, grace_s: float) -> None:
        """Take no more messages, and let running handlers finish within a grace time."""
        with contextlib.suppress(BrokerError):
            if self._inbox:
                await self._inbox.stop()
        self.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_s)
        with contextlib.suppress(TimeoutError):  # a message that is late for this comes again
            async with asyncio.timeout(_FLUSH_LIMIT_S):
                if self._deduplicator:
                    self._ack(*await self._deduplicator.mark())
                if self._inbox:
                    await self._inbox.flush()

    async def _check(self, deduplicator: Deduplicator) -> None:
        """Queue what arrives and is new, until there is no time left."""
        while checked := await deduplicator.check():
            for delivery in checked.new:
                self._queue.put(delivery)
            for delivery in checked.duplicates:
                self._note_done(delivery, is_new=False)
            self._ack(*checked.duplicates)
            await self._put_back(checked.unknown)

    async def _mark(self, deduplicator: Deduplicator) -> None:
        """Mark and acknowledge what was handled, forever."""
        while True:
            await deduplicator.has_handled()
            self._ack(*await deduplicator.mark())

    async def _work(self) -> None:
        while batch := await self._queue.take(self._handling.caller.limit):
            await self._process(batch)
            self._queue.done(batch)

    async def _process(self, batch: Sequence[Delivery]) -> None:
        """Handle a batch until all of it is handled or moved, or the pool closes."""
        began_at = time.monotonic()
        while batch:
            waiting: list[Delivery] = []
            wait = Wait(0, "")
            for delivery, result in zip(batch, await self._results(batch), strict=True):
                error = result if isinstance(result, Exception) else None
                decision = decide(
                    error,
                    attempt=delivery.attempt,
                    retry_delays_s=self._handling.retry_delays_s,
                    down_for_s=self._outage.duration_s,
                )
                if not isinstance(decision, Wait):
                    self._outage.end()
                match decision:
                    case Done():
                        self._complete(delivery, is_new=result is True)
                    case Wait():
                        waiting.append(delivery)
                        wait = decision
                    case Retry() | Dead():
                        await self._fail(delivery, decision, error)
            if waiting and not await self._outage.wait(wait):
                return
            waited_s = max(self._outage.duration_s, time.monotonic() - began_at)
            if waiting and waited_s > self._handling.hold_limit_s:
                # With those behind them, so that at least what is in hand keeps its order.
                await self._put_back([*waiting, *self._queue.take_rest(waiting)])
                return
            batch = waiting

    async def _results(self, batch: Sequence[Delivery]) -> list[Result]:
        """Return what came of each message; some need no call to know."""
        known: dict[int, Result] = {}
        events: list[Event] = []
        for delivery in batch:
            if isinstance(delivery.event, NotAnEvent):
                known[delivery.message.tag] = delivery.event
            elif self._deduplicator and self._deduplicator.was_handled(delivery):
                known[delivery.message.tag] = False
            else:
                events.append(delivery.event)
        results: Sequence[Result] = ()
        if events:
            began_at = time.perf_counter()
            results = await self._handling.caller(events)
            self._metrics.handler_seconds.observe(time.perf_counter() - began_at)
        if not known:
            return list(results)
        rest = iter(results)
        tags = [delivery.message.tag for delivery in batch]
        return [known[tag] if tag in known else next(rest) for tag in tags]

    def _ack(self, *deliveries: Delivery) -> None:
        if self._inbox:
            for delivery in deliveries:
                self._inbox.ack(delivery.message.tag)

    def _complete(self, delivery: Delivery, *, is_new: bool) -> None:
        """Acknowledge a message that was handled, but not before its event is marked."""
        self._note_done(delivery, is_new=is_new)
        if self._deduplicator:
            self._deduplicator.note_handled(delivery)
        else:
            self._ack(delivery)

    async def _fail(
        self, delivery: Delivery, decision: Retry | Dead, error: Exception | None
    ) -> None:
        """Move a message to where it waits for its next attempt, or for a person."""
        self._log_failed(delivery, decision, error)
        if await self._republisher.move(delivery, decision):
            self._metrics.outcomes["retried" if isinstance(decision, Retry) else "dead"].inc()
            self._ack(delivery)

    async def _put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put messages that waited too long at the end of the service's own queue."""
        for delivery in deliveries:
            if not await self._republisher.put_back(delivery):
                return
            self._metrics.outcomes["put_back"].inc()
            self._ack(delivery)

    def _note_done(self, delivery: Delivery, *, is_new: bool) -> None:
        outcome = "done" if is_new else "duplicate"
        self._metrics.outcomes[outcome].inc()
        event = delivery.event
        if isinstance(event, Event):
            self._log.debug(outcome, id=event.id, attempt=event.attempt)
            with contextlib.suppress(ValueError):
                recorded_at = datetime.fromisoformat(event.recordedtime)
                if recorded_at.tzinfo:
                    delay_s = time.time() - recorded_at.timestamp()
                    self._metrics.delay_seconds.observe(max(0.0, delay_s))

    def _log_failed(
        self, delivery: Delivery, decision: Retry | Dead, error: Exception | None
    ) -> None:
        says_all = isinstance(error, RelayError)  # needs no traceback
        log = self._log.bind(
            id=delivery.message.properties.message_id,
            routing_key=delivery.routing_key,
            attempt=delivery.attempt,
            reason=decision.reason if isinstance(decision, Dead) else error and described(error),
            exc_info=None if says_all else error,
        )
        if isinstance(decision, Retry):
            log.warning("attempt failed", retry_in_s=decision.delay_s)
        else:
            log.error("dead letter")
