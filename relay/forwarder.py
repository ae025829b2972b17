"""From the outbox to the publisher, and what each outcome means for an event.

Confirmed: it leaves the outbox. Anything else: it stays and is sent again, for ever, a refused
one with growing delay. While nothing fails, events are published in the order of their arrival.
"""

import asyncio
import heapq
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from relay.broker.session import Outcome, Session
from relay.errors import OutboxError
from relay.events.message import Message
from relay.observability.log_throttle import LogThrottle
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.process import backoff

_BATCH = 500
_BATCH_FORMS_S = 0.02
"""After all there is was published, the next batch may form for so long. Each batch costs the relay
and the broker about as much as ten events do, and nobody waits: the answers were given before."""
_MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
_MAX_DEFERRED = 100_000
"""Refused messages remembered, by number alone. Beyond that nothing new is sent until some go."""
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 60.0
_READ_AGAIN_S = 1.0
_TELL_EVERY_S = 10.0

log = structlog.get_logger("relay.forwarder")


class _Deferred(NamedTuple):
    due: float
    seq: int


class Forwarder:
    """Drain an outbox into sessions with the broker, one session after the other.

    Args:
        outbox: where events wait.
        committed: set by the outbox whenever something was committed.
        max_in_flight: messages published and not yet confirmed.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        committed: asyncio.Event,
        max_in_flight: int,
    ) -> None:
        self._outbox = outbox
        self._wake = committed
        self._max_in_flight = max_in_flight
        self._taken = 0  # everything up to this number was read
        self._deferred: list[_Deferred] = []
        self._attempts: dict[int, int] = {}
        self._refused = 0  # since the log said so
        self._tells = LogThrottle(_TELL_EVERY_S)
        self._session: Session[Pending] | None = None

    @property
    def is_drained(self) -> bool:
        """Tell whether all that was committed is confirmed."""
        in_flight = self._session.in_flight if self._session else 0
        return not (in_flight or self._deferred) and self._taken >= self._outbox.last_seq

    async def forward(self, session: Session[Pending]) -> None:
        """Publish through session until it ends; what it leaves unconfirmed is sent again."""
        self._session = session
        session.on_outcome = self._settle
        try:
            while True:
                await session.publish(await self._next_batch(session))
                if self._taken >= self._outbox.last_seq:
                    await asyncio.sleep(_BATCH_FORMS_S)
        finally:
            self._session = None
            self._defer_now([it.seq for it in session.unsettled()])

    async def _next_batch(self, session: Session[Pending]) -> list[Pending]:
        while True:
            self._wake.clear()  # before looking, so that nothing is missed
            limit = min(_BATCH, self._max_in_flight - session.in_flight)
            if limit <= 0 or session.in_flight_bytes >= _MAX_IN_FLIGHT_BYTES:
                await self._wake.wait()  # only a confirm makes room, whatever else is due
                continue
            try:
                batch = await self._due(limit) or await self._unread(limit)
            except OutboxError as error:
                log.error("outbox unreadable", reason=str(error))  # noqa: TRY400  says it all
                await asyncio.sleep(_READ_AGAIN_S)
                continue
            if batch:
                return batch
            await self._wait()

    async def _due(self, limit: int) -> list[Pending]:
        now = _now()
        seqs: list[int] = []
        while self._deferred and self._deferred[0].due <= now and len(seqs) < limit:
            seqs.append(heapq.heappop(self._deferred).seq)
        if not seqs:
            return []
        try:
            found = await self._outbox.fetch(seqs)
        except BaseException:
            self._defer_now(seqs)
            raise
        if found:  # what follows the last one was left out for its size
            self._defer_now([seq for seq in seqs if seq > found[-1].seq])
        return found

    async def _unread(self, limit: int) -> list[Pending]:
        if len(self._deferred) >= _MAX_DEFERRED:
            return []
        batch = await self._outbox.pending(after=self._taken, limit=limit)
        if batch:
            self._taken = batch[-1].seq
        return batch

    async def _wait(self) -> None:
        """Wait for a commit, a confirm, or the moment the next deferred message is due."""
        delay = self._deferred[0].due - _now() if self._deferred else None
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    def _settle(self, outcome: Outcome[Pending]) -> None:
        confirmed, failed = outcome
        if self._attempts:
            for it in confirmed:
                self._attempts.pop(it.seq, None)
        self._outbox.confirm([it.seq for it in confirmed])
        for it in failed:
            attempt = self._attempts[it.seq] = self._attempts.get(it.seq, 0) + 1
            delay_s = backoff.delay_s(attempt, first_s=_FIRST_RETRY_S, last_s=_LAST_RETRY_S)
            heapq.heappush(self._deferred, _Deferred(_now() + delay_s, it.seq))
        if failed:
            self._refused += len(failed)
            self._tell_of_refused(failed[0].message)
        self._wake.set()

    def _tell_of_refused(self, latest: Message) -> None:
        if self._tells.should_log():
            log.warning(
                "publish refused",
                count=self._refused,  # since the last line
                routing_key=latest.routing_key,
                event_id=latest.id,
            )
            self._refused = 0

    def _defer_now(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            heapq.heappush(self._deferred, _Deferred(0.0, seq))


def _now() -> float:
    return asyncio.get_running_loop().time()
