"""From a delivery to its end: decoded, put in its lane, handled, then settled or moved elsewhere.

A message is settled only when its event is handled or its copy is confirmed in another queue. A
crash in between makes a duplicate, never a loss.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from datetime import datetime

import structlog

from consumers.kit.consuming.calling import Handling, Result
from consumers.kit.consuming.decision import Dead, Done, Retry, Wait, decide, described
from consumers.kit.consuming.deduplicate import Deduplicator
from consumers.kit.consuming.delivery import Delivery, Received, read
from consumers.kit.consuming.inbox import Inbox
from consumers.kit.consuming.key_order import KeyedQueue
from consumers.kit.consuming.republish import Republisher, Restore
from consumers.kit.errors import NotAnEvent
from consumers.kit.event import Event
from consumers.kit.metrics import OneConsumerMetrics
from consumers.kit.seen.store import Seen
from relay import errors
from relay.confirm_sink import ConfirmSink

_HOLD_LIMIT_S = 600.0
"""How long a message waits in hand for something that is down; it then goes to the end of its
queue. RabbitMQ takes messages back after 30 minutes, and counts that as a delivery."""
_FLUSH_LIMIT_S = 2.0
_FINISH_LIMIT_S = 120.0
"""How long a lost connection is not replaced while handlers that were begun go on."""


class HandlerPool:
    """A number of workers for the messages of one inbox, until it closes.

    Args:
        service: the consumer's name, and its queue's.
        handling: calls its function.
        seen: which events to pass over; None when the function sees to that itself.
        concurrency: how many messages, or batches, are handled at the same time.
        retry_delays_s: see decision.decide.
        direct: publishes with confirms what is moved.
        restore: declares the service's queues, in case one of them is gone.
        metrics: what is counted.
    """

    def __init__(  # noqa: PLR0913  everything meets here
        self,
        *,
        service: str,
        handling: Handling,
        seen: Seen | None,
        concurrency: int,
        retry_delays_s: Sequence[float],
        direct: ConfirmSink,
        restore: Restore,
        metrics: OneConsumerMetrics,
    ) -> None:
        self._handling = handling
        self._concurrency = concurrency
        self._retry_delays_s = retry_delays_s
        self._transfer = Republisher(service, direct=direct, restore=restore, wait=self._wait)
        self._metrics = metrics
        self._lanes: KeyedQueue[Delivery] = KeyedQueue()
        self._once: Deduplicator | None = None
        if seen:
            self._once = Deduplicator(
                seen,
                admit=self._lanes.put,
                pass_over=self._pass_over,
                settle=self._settle,
                put_back=self._put_back,
                wait=self._wait,
                hold_limit_s=_HOLD_LIMIT_S,
            )
        self._tasks: list[asyncio.Task[None]] = []
        self._is_over = asyncio.Event()
        self._inbox: Inbox | None = None
        self._log = structlog.get_logger("consumers").bind(consumer=service)
        self._down_since = math.inf
        self.waiting_for: str | None = None

    def receive(self, message: Received) -> None:
        """Take a message in hand."""
        delivery = read(message)
        if self._once and isinstance(delivery.event, Event):
            self._once.arrived(delivery)
        else:
            self._lanes.put(delivery)

    async def run(self, inbox: Inbox) -> None:
        """Work until the inbox closes, or for ever.

        Raises:
            BrokerError: it closed. What was being handled has been handled to its end.
        """
        self._inbox = inbox
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]
        beside = [inbox.acknowledge()]
        if self._once:
            beside += [self._once.ask(), self._once.tell()]
        parts = [*self._tasks, *[asyncio.create_task(it) for it in beside]]
        try:
            closed = await inbox.until_closed(parts)
            self.close()
            await asyncio.wait(self._tasks, timeout=_FINISH_LIMIT_S)
        finally:
            for task in parts:
                task.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        raise closed

    def close(self) -> None:
        """Begin nothing any more. What is being handled goes on."""
        self._lanes.close()
        self._is_over.set()

    async def finish(self, grace_s: float) -> None:
        """Take nothing any more and finish what is being handled, within a grace time."""
        with contextlib.suppress(errors.BrokerError):
            if self._inbox:
                await self._inbox.stop()
        self.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        with contextlib.suppress(TimeoutError):  # what a store or broker delays, comes again
            async with asyncio.timeout(_FLUSH_LIMIT_S):
                if self._once:
                    await self._once.settle_handled()
                if self._inbox:
                    await self._inbox.flush()

    async def _work(self) -> None:
        while batch := await self._lanes.take(self._handling.limit):
            await self._deal_with(batch)
            self._lanes.done(batch)

    async def _deal_with(self, batch: Sequence[Delivery]) -> None:
        """Handle a batch until each message of it is settled, or the work is over."""
        began_at = time.monotonic()
        while batch:
            results = await self._results(batch)
            waiting: list[Delivery] = []
            wait = Wait(0, "")
            for delivery, result in zip(batch, results, strict=True):
                error = result if isinstance(result, Exception) else None
                decision = decide(
                    error,
                    attempt=delivery.attempt,
                    retry_delays_s=self._retry_delays_s,
                    down_for_s=self._down_for_s(),
                )
                if not isinstance(decision, Wait):
                    self._note_up()
                match decision:
                    case Done():
                        self._note_done(delivery, is_new=result is True)
                        self._mark(delivery)
                    case Wait():
                        waiting.append(delivery)
                        wait = decision
                    case Retry() | Dead():
                        self._note_failed(delivery, decision, error)
                        if await self._transfer.move(delivery, decision):
                            self._count_failed(decision)
                            self._settle(delivery)
            if waiting and not await self._wait(wait):
                return
            if waiting and max(self._down_for_s(), _since(began_at)) > _HOLD_LIMIT_S:
                # Those behind in their lanes as well: at least what is in hand keeps its order.
                await self._put_back([*waiting, *self._lanes.take_rest(waiting)])
                return
            batch = waiting

    async def _results(self, batch: Sequence[Delivery]) -> list[Result]:
        """Return what came of each message; some need no handling to tell."""
        results: dict[int, Result] = {}
        events: list[Event] = []
        for it in batch:
            if isinstance(it.event, NotAnEvent):
                results[it.message.tag] = it.event
            elif self._once and self._once.was_handled(it):
                results[it.message.tag] = False
            else:
                events.append(it.event)
        if events:
            began_at = time.perf_counter()
            rest = iter(await self._handling(events))
            self._metrics.handler_seconds.observe(time.perf_counter() - began_at)
            return [
                results[tag] if (tag := it.message.tag) in results else next(rest) for it in batch
            ]
        return [results[it.message.tag] for it in batch]

    # What becomes of a message.

    def _settle(self, delivery: Delivery) -> None:
        if self._inbox:
            self._inbox.settle(delivery.message.tag)

    def _mark(self, delivery: Delivery) -> None:
        """Settle a message as soon as its event is marked, where that is done here."""
        if self._once:
            self._once.handled(delivery)
        else:
            self._settle(delivery)

    def _pass_over(self, delivery: Delivery) -> None:
        self._note_done(delivery, is_new=False)
        self._settle(delivery)

    async def _put_back(self, deliveries: Sequence[Delivery]) -> None:
        """Put messages that waited too long at the end of the service's own queue."""
        for it in deliveries:
            if not await self._transfer.to_end(it):
                return
            self._metrics.outcomes["put_back"].inc()
            self._settle(it)

    async def _wait(self, wait: Wait) -> bool:
        """Wait as long as told; return whether the work is not over meanwhile."""
        if self.waiting_for is None:
            self._log.warning("waiting", reason=wait.reason, after_s=round(wait.after_s, 3))
            self._down_since = time.monotonic()
        self.waiting_for = wait.reason
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait.after_s):
                await self._is_over.wait()
        return not self._is_over.is_set()

    def _down_for_s(self) -> float:
        """Return for how long what the handler needs has been down."""
        return _since(self._down_since)

    def _note_up(self) -> None:
        if self.waiting_for is not None:
            self.waiting_for, self._down_since = None, math.inf
            self._log.info("no longer waiting")

    def _note_done(self, delivery: Delivery, *, is_new: bool) -> None:
        self._metrics.outcomes["done" if is_new else "duplicate"].inc()
        event = delivery.event
        if isinstance(event, Event):
            self._log.debug("done" if is_new else "duplicate", id=event.id, attempt=event.attempt)
            with contextlib.suppress(ValueError):
                recorded_at = datetime.fromisoformat(event.recordedtime)
                if recorded_at.tzinfo:
                    delay_s = time.time() - recorded_at.timestamp()
                    self._metrics.delay_seconds.observe(max(0.0, delay_s))

    def _note_failed(
        self, delivery: Delivery, decision: Retry | Dead, error: Exception | None
    ) -> None:
        is_told = isinstance(error, errors.RelayError)  # its text says all there is to say
        log = self._log.bind(
            id=delivery.message.properties.message_id,
            routing_key=delivery.routing_key,
            attempt=delivery.attempt,
            reason=decision.reason if isinstance(decision, Dead) else error and described(error),
            exc_info=None if is_told else error,
        )
        if isinstance(decision, Retry):
            log.warning("attempt failed", retry_in_s=decision.delay_s)
        else:
            log.error("dead letter")

    def _count_failed(self, decision: Retry | Dead) -> None:
        self._metrics.outcomes["retried" if isinstance(decision, Retry) else "dead"].inc()


def _since(moment: float) -> float:
    return max(0.0, time.monotonic() - moment)
