"""From one queue to another: published until that is confirmed, and only then acknowledged."""

import contextlib
import math
import time
from collections.abc import Awaitable, Callable

import structlog
from pamqp import commands

from consumers.kit.consuming.decision import Dead, Retry, Wait, wait_s
from consumers.kit.consuming.delivery import Delivery
from consumers.kit.queues import headers, topology
from relay.confirm_sink import ConfirmSink
from relay.errors import BrokerError, NotDurable
from relay.events.message import Message

_RESTORE_EVERY_S = 10.0

Restore = Callable[[], Awaitable[None]]
"""Declares the service's queues, in case one of them is gone. Raises BrokerError."""


class Republisher:
    """Puts copies of a service's messages into its other queues.

    Each method tells whether the copy is there; it is not when there was no time left for it.

    Args:
        service: the service's name, and its queue's.
        direct: publishes with confirms.
        restore: called when a queue took nothing.
        wait: waits before the next try; tells whether there is time to go on.
    """

    def __init__(
        self,
        service: str,
        *,
        direct: ConfirmSink,
        restore: Restore,
        wait: Callable[[Wait], Awaitable[bool]],
    ) -> None:
        self._service = service
        self._direct = direct
        self._restore = restore
        self._wait = wait
        self._failing: set[str] = set()
        self._restored_at = -math.inf
        self._log = structlog.get_logger("consumers").bind(consumer=service)

    async def move(self, delivery: Delivery, decision: Retry | Dead) -> bool:
        """Let a message wait for its next attempt, or give it up."""
        given, key = delivery.message.properties, delivery.routing_key
        if isinstance(decision, Retry):
            queue = topology.retry_queue(self._service, decision.delay_s)
            properties = headers.again(given, attempt=decision.attempt, routing_key=key)
        else:
            queue = topology.dead_queue(self._service)
            properties = headers.dead(
                given,
                attempts=delivery.attempt,
                routing_key=key,
                reason=decision.reason,
                died_at=time.time(),
            )
        return await self._publish(delivery, queue, properties)

    async def to_end(self, delivery: Delivery) -> bool:
        """Put a message at the end of the service's own queue, no attempt counted."""
        given, key = delivery.message.properties, delivery.routing_key
        properties = headers.again(given, attempt=delivery.attempt, routing_key=key)
        return await self._publish(delivery, self._service, properties)

    async def _publish(
        self, delivery: Delivery, queue: str, properties: commands.Basic.Properties
    ) -> bool:
        """Publish until that is confirmed. A queue that is full is waited for."""
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
                await self._direct.append([message])
            except NotDurable as error:
                self._note_failed(queue, error)
            else:
                self._failing.discard(queue)
                return True
            await self._restore_now_and_then()
            pause_s = wait_s(None, time.monotonic() - began_at)
            if not await self._wait(Wait(pause_s, f"the queue {queue} takes nothing")):
                return False

    async def _restore_now_and_then(self) -> None:
        """Declare the queues, in case one is gone; not for each message that failed."""
        if time.monotonic() - self._restored_at > _RESTORE_EVERY_S:
            self._restored_at = time.monotonic()
            with contextlib.suppress(BrokerError):
                await self._restore()

    def _note_failed(self, queue: str, error: NotDurable) -> None:
        if queue not in self._failing:  # once, however often it is tried
            self._log.warning("transfer failed", queue=queue, reason=str(error))
            self._failing.add(queue)
