"""From the outbox to the broker, and what each outcome means for an event.

    outbox.pending -> publish -> confirmed            -> outbox.confirm: it leaves the outbox
                         |    -> refused              -> parked; see parking.py
                         ^    -> nacked or returned   -> deferred with a growing delay --+
                         |    -> the session ends     -> deferred without delay ---------+
                         +---------------------------------------------------------------+

An event is published until it is confirmed, however often that takes. While nothing fails, events
are published in the order of their arrival. Nobody waits for the outcome: the requests were
answered when the outbox had committed their events.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple

import structlog

from relay.broker.outcome import PublishOutcome
from relay.broker.session import Session
from relay.errors import OutboxError
from relay.events.message import Message
from relay.observability.log_throttle import LogThrottle
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.parking import ParkedMessages, log_unreadable
from relay.process import backoff

_MAX_BATCH = 500
_BATCH_FORMS_S = 0.02
"""Once all is published, the next batch may form for this long. A batch costs the relay and the
broker about as much as ten events do."""
_MIN_PART_OF_WINDOW = 4
"""While the window is full, a batch waits until a quarter of it is free, or room for a whole batch:
else each confirm would bring a read and a write of the few messages that it made room for."""
_MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
_MAX_DEFERRED = 100_000
"""Deferred events, of which only the number is kept. Beyond it, only those are published."""
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 60.0
_LOG_EVERY_S = 10.0

log = structlog.get_logger("relay.forwarder")


class _Deferred(NamedTuple):
    due: float
    seq: int


class Forwarder:
    """Drain an outbox into sessions with the broker, one session after the other.

    Args:
        outbox: where events wait.
        committed: set by the outbox whenever something was committed.
        exchange_of: returns the exchange of a message.
        max_in_flight: messages published and not yet confirmed.
        read_retry_s: how long to wait after the outbox could not be read.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        committed: asyncio.Event,
        exchange_of: Callable[[Message], str],
        max_in_flight: int,
        read_retry_s: float = 1.0,
    ) -> None:
        self._outbox = outbox
        self._wake = committed
        self._parked = ParkedMessages(outbox=outbox, exchange_of=exchange_of, wake=committed)
        self._max_in_flight = max_in_flight
        self._min_room = max(1, min(_MAX_BATCH, max_in_flight // _MIN_PART_OF_WINDOW))
        self._read_retry_s = read_retry_s
        self._read_up_to = 0  # the number of the last event that was read
        self._deferred: list[_Deferred] = []  # a heap
        self._is_fetching = False  # deferred events
        self._attempts: dict[int, int] = {}  # of nacked and returned events, by number
        self._unlogged = 0  # how many were nacked or returned since the last line in the log
        self._log_throttle = LogThrottle(_LOG_EVERY_S)
        self._session: Session[Pending] | None = None

    @property
    def is_drained(self) -> bool:
        """Return whether all that was committed is confirmed."""
        in_flight = self._session.in_flight if self._session else 0
        is_waiting = in_flight or self._deferred or self._is_fetching
        return not is_waiting and self._read_up_to >= self._outbox.last_seq

    async def forward(self, session: Session[Pending]) -> None:
        """Publish through session until it ends. What is unconfirmed then is published again."""
        self._session = session
        session.on_outcome = self._note_outcome
        await self._load_parked()
        publishing = asyncio.ensure_future(self._publish(session))
        retrying = asyncio.ensure_future(self._parked.retry(session))
        try:
            done, _ = await asyncio.wait(
                {publishing, retrying}, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done:
                ended.result()
        finally:
            publishing.cancel()
            retrying.cancel()
            try:
                await asyncio.gather(publishing, retrying, return_exceptions=True)
            finally:  # it may be cancelled here: the session ends while publishing fails
                self._session = None
                self._defer_now([pending.seq for pending in session.take_unconfirmed()])

    async def _load_parked(self) -> None:
        try:
            await self._parked.load()
        except OutboxError as error:
            log_unreadable(error)

    async def _publish(self, session: Session[Pending]) -> None:
        while True:
            await session.publish(await self._next_batch(session))
            if self._read_up_to >= self._outbox.last_seq:
                await asyncio.sleep(_BATCH_FORMS_S)

    # What to publish next.

    async def _next_batch(self, session: Session[Pending]) -> list[Pending]:
        while True:
            self._wake.clear()  # before looking, so that nothing is missed
            room = self._max_in_flight - session.in_flight
            limit = min(_MAX_BATCH, room)
            if room < self._min_room or session.in_flight_bytes >= _MAX_IN_FLIGHT_BYTES:
                await self._wake.wait()  # only a confirm makes room, whatever else is due
                continue
            try:
                await self._parked.write()
                self._defer_now(await self._parked.release(limit))
                batch = await self._due(limit) or await self._unread(limit)
            except OutboxError as error:
                log_unreadable(error)
                await asyncio.sleep(self._read_retry_s)
                continue
            if batch:
                return batch
            await self._wait()

    async def _due(self, limit: int) -> list[Pending]:
        """Return deferred events whose time has come."""
        now = _now()
        seqs: list[int] = []
        while self._deferred and self._deferred[0].due <= now and len(seqs) < limit:
            seqs.append(heapq.heappop(self._deferred).seq)
        if not seqs:
            return []
        self._is_fetching = True
        try:
            found = await self._outbox.fetch(seqs)
        except BaseException:
            self._defer_now(seqs)
            raise
        finally:
            self._is_fetching = False
        if found:  # those after the last one were left out because of their size
            self._defer_now([seq for seq in seqs if seq > found[-1].seq])
        return found

    async def _unread(self, limit: int) -> list[Pending]:
        """Return events that have not been read before."""
        if len(self._deferred) >= _MAX_DEFERRED:
            return []
        while True:
            last = self._outbox.last_seq
            rows = await self._outbox.pending(after=self._read_up_to, limit=limit)
            self._read_up_to = rows[-1].seq if rows else max(last, self._read_up_to)
            batch = self._parked.hold_back(rows)
            if batch or not rows:
                return batch
            await self._parked.write()

    async def _wait(self) -> None:
        """Wait for a commit, a confirm, or the time of the next deferred event."""
        delay = self._deferred[0].due - _now() if self._deferred else None
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    # What became of it.

    def _note_outcome(self, outcome: PublishOutcome[Pending]) -> None:
        if self._attempts:
            for confirmed in outcome.confirmed:
                self._attempts.pop(confirmed.seq, None)
        self._outbox.confirm([confirmed.seq for confirmed in outcome.confirmed])
        if outcome.refusal:
            self._parked.refuse(outcome.failed, outcome.refusal)
            self._wake.set()
            return
        for failed in outcome.failed:
            attempt = self._attempts[failed.seq] = self._attempts.get(failed.seq, 0) + 1
            delay_s = backoff.delay_s(attempt, first_s=_FIRST_RETRY_S, last_s=_LAST_RETRY_S)
            heapq.heappush(self._deferred, _Deferred(_now() + delay_s, failed.seq))
        if outcome.failed:
            self._unlogged += len(outcome.failed)
            self._log_failed(outcome.failed[0].message)
        self._wake.set()

    def _log_failed(self, latest: Message) -> None:
        if self._log_throttle.should_log():
            log.warning(
                "publish refused",
                count=self._unlogged,
                routing_key=latest.routing_key,
                event_id=latest.id,
            )
            self._unlogged = 0

    def _defer_now(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            heapq.heappush(self._deferred, _Deferred(0.0, seq))


def _now() -> float:
    return asyncio.get_running_loop().time()
