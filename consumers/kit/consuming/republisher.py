"""From one queue to another: a copy is published and confirmed before its message is acknowledged.

A crash in between makes a duplicate, never a loss.
"""

import contextlib
import math
import time
from collections.abc import Awaitable, Callable

import structlog
from pamqp import commands

from consumers.kit.consuming.decision import Dead, Retry, Wait, wait_s
from consumers.kit.consuming.delivery import Delivery
from consumers.kit.consuming.outage import Outage
from consumers.kit.queues import topology
from consumers.kit.queues.headers import dead_letter_properties, retry_properties
from relay.confirm_sink import ConfirmSink
from relay.errors import BrokerError, NotDurable
from relay.events.message import Message

_RESTORE_EVERY_S = 10.0

Restore = Callable[[], Awaitable[None]]
"""Declares the service's queues, in case one of them is gone. Raises BrokerError."""


class Republisher:
    """Puts copies of a service's messages into its own queues.

    Each method returns whether the copy is there; it is not if the service stopped before.

    Args:
        service: the service's name, and its queue's.
        confirm_sink: publishes with confirms.
        restore: called when a queue took nothing.
        outage: of the queues; how to wait before the next try.
    """

    def __init__(
        self, service: str, *, confirm_sink: ConfirmSink, restore: Restore, outage: Outage
    ) -> None:
        self._service = service
        self._confirm_sink = confirm_sink
        self._restore = restore
        self._outage = outage
        self._failing: set[str] = set()
        self._restored_at = -math.inf
        self._log = structlog.get_logger("consumers").bind(consumer=service)

    async def move(self, delivery: Delivery, decision: Retry | Dead) -> bool:
        """Put a message into a delay queue, or into the dead-letter queue."""
        given, key = delivery.message.properties, delivery.routing_key
        if isinstance(decision, Retry):
            queue = topology.retry_queue(self._service, decision.delay_s)
            properties = retry_properties(given, attempt=decision.attempt, routing_key=key)
        else:
            queue = topology.dead_queue(self._service)
            properties = dead_letter_properties(
                given,
                attempts=delivery.attempt,
                routing_key=key,
                reason=decision.reason,
                died_at=time.time(),
            )
        return await self._publish(delivery, queue, properties)

    async def put_back(self, delivery: Delivery) -> bool:
        """Put a message at the end of the service's own queue, without counting an attempt."""
        given, key = delivery.message.properties, delivery.routing_key
        properties = retry_properties(given, attempt=delivery.attempt, routing_key=key)
        return await self._publish(delivery, self._service, properties)

    async def _publish(
        self, delivery: Delivery, queue: str, properties: commands.Basic.Properties
    ) -> bool:
        """Publish until it is confirmed, however long the queue is full."""
        message = Message(
            id=properties.message_id or "",
            routing_key=queue,
            properties=properties.marshal(),
            body=delivery.message.body,
            received_at=time.time(),
        )
        began_at = time.monotonic()
        while True:
            try:
                await self._confirm_sink.append([message])
            except NotDurable as error:
                self._note_failed(queue, error)
            else:
                self._note_succeeded(queue)
                return True
            await self._restore_queues()
            pause_s = wait_s(None, time.monotonic() - began_at)
            if not await self._outage.wait(Wait(pause_s, f"the queue {queue} takes nothing")):
                return False

    async def _restore_queues(self) -> None:
        """Declare the queues, in case one is gone; not for each message that failed."""
        if time.monotonic() - self._restored_at > _RESTORE_EVERY_S:
            self._restored_at = time.monotonic()
            with contextlib.suppress(BrokerError):
                await self._restore()

    def _note_succeeded(self, queue: str) -> None:
        self._failing.discard(queue)
        if not self._failing:
            self._outage.end()

    def _note_failed(self, queue: str, error: NotDurable) -> None:
        if queue not in self._failing:  # logged once, however often it is tried
            self._log.warning("republishing failed", queue=queue, reason=str(error))
            self._failing.add(queue)
