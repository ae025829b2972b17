"""Messages that RabbitMQ refuses: kept out of the way, and tried again alone.

    refused                       parked, on disk; all others go on
    of a cause that is known      parked without being tried
    a cause is due                its oldest message is published alone, on a channel of its own
        refused once more         due again, after a delay that grows to ten minutes
        confirmed                 the others of the cause go back to the forwarder, in order

A cause is an exchange, a routing key in an exchange, or a single message: one that is too large, or
one of which RabbitMQ does not say what it refuses. All causes are due at the start, whenever the
relay has connected, and after `relay outbox retry`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from relay.broker.outcome import PublishOutcome
from relay.broker.refusal import Refusal, causes_covering
from relay.broker.session import Session
from relay.errors import BrokerError, OutboxError
from relay.events.message import Message
from relay.observability.log_throttle import LogThrottle
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.outbox.parked import MAX_DELAY_S, DueCause, Parking
from relay.process import backoff

_FIRST_RETRY_S = 2.0
_POLL_S = 1.0
"""How soon a request of `relay outbox retry`, which is another process, is seen."""
_RELEASE_WITHIN_S = 60.0
_MAX_KNOWN = 1000
_MAX_UNWRITTEN = 10_000
_LOG_EVERY_S = 10.0

log = structlog.get_logger("relay.forwarder")


class ParkedMessages:
    """Park refused messages, and bring them back once they can go out.

    Args:
        outbox: where they are.
        exchange_of: returns the exchange of a message.
        wake: wakes the forwarder; set whenever there is something to publish again.
    """

    def __init__(
        self, *, outbox: Outbox, exchange_of: Callable[[Message], str], wake: asyncio.Event
    ) -> None:
        self._outbox = outbox
        self._exchange_of = exchange_of
        self._wake = wake
        self._known_causes: dict[str, str] = {}  # those that messages share, with reasons
        self._unwritten: list[Parking] = []
        self._releasing: deque[str] = deque()  # causes
        self._delivered: set[int] = set()  # numbers of messages that are parked all the same
        self._throttle = LogThrottle(_LOG_EVERY_S)
        self._unlogged = 0  # how many were parked since the last line in the log

    # Parking.

    def refuse(self, refused: Sequence[Pending], refusal: Refusal) -> None:
        """Park messages with the next `write`."""
        for pending in refused:
            cause = refusal.cause_of(pending.message)
            if refusal.exchange and len(self._known_causes) < _MAX_KNOWN:
                self._known_causes[cause] = refusal.reason
            self._park(pending, cause, refusal.reason)

    def hold_back(self, rows: list[Pending]) -> list[Pending]:
        """Return the rows that may go out. Those of a known cause are parked with `write`."""
        if not self._known_causes:
            return rows
        free = []
        for row in rows:
            causes = causes_covering(self._exchange_of(row.message), row.message)
            if cause := next((each for each in causes if each in self._known_causes), None):
                self._park(row, cause, self._known_causes[cause])
            else:
                free.append(row)
        return free

    def _park(self, pending: Pending, cause: str, reason: str) -> None:
        self._unwritten.append(Parking(pending.seq, cause, reason, time.time()))
        self._unlogged += 1
        if self._throttle.should_log():
            log.warning(
                "message parked",
                reason=reason,
                event_id=pending.message.id,
                routing_key=pending.message.routing_key,
                size=len(pending.message.body),
                count=self._unlogged,
            )
            self._unlogged = 0

    async def write(self) -> None:
        """Write to disk what is to be parked.

        Raises:
            OutboxError: the disk has failed for so long that no more can be kept in memory.
        """
        if not self._unwritten:
            return
        writing, self._unwritten = self._unwritten, []
        try:
            now = time.time()
            await self._outbox.parked.park(writing, due=now + _delay_s(1))
        except BaseException as error:
            self._unwritten = writing + self._unwritten  # also if the session ends meanwhile
            if not isinstance(error, OutboxError) or len(self._unwritten) > _MAX_UNWRITTEN:
                raise

    # Bringing back.

    async def load(self) -> None:
        """Learn what is known to be refused, and let all of it be tried."""
        await self._outbox.parked.retry_all()
        self._known_causes = await self._outbox.parked.shared_causes(_MAX_KNOWN)

    async def release(self, limit: int) -> list[int]:
        """Return messages that were parked and may go out again, in order, about limit.

        Those of a call that failed or was cancelled are returned by the next one.
        """
        while not (seqs := self._outbox.parked.take_released()) and self._releasing:
            cause = self._releasing[0]
            if not await self._outbox.parked.release(cause, limit):
                self._releasing.popleft()
                self._known_causes.pop(cause, None)
        return seqs

    async def retry(self, session: Session[Pending]) -> None:
        """Try what is due, forever."""
        while True:
            self._outbox.parked.added.clear()
            try:
                self._known_causes = await self._outbox.parked.shared_causes(_MAX_KNOWN)
                if await self._outbox.parked.is_empty():
                    await self._outbox.parked.added.wait()
                while cause := await self._outbox.parked.next_due(time.time()):
                    await self._try(session, cause)
            except OutboxError as error:
                log_unreadable(error)
            await asyncio.sleep(_POLL_S)

    async def _try(self, session: Session[Pending], cause: DueCause) -> None:
        """Publish the oldest message of a cause alone."""
        for row in await self._outbox.fetch([cause.seq]):
            if row.seq in self._delivered:
                await self._unpark(row, cause)
                continue
            outcome = await _publish_alone(session, row)
            if outcome.confirmed:
                self._note_delivered(row, cause)
                await self._unpark(row, cause)
                continue
            reason = outcome.refusal.reason if outcome.refusal else cause.reason
            due = time.time() + _delay_s(cause.attempts + 1)
            await self._outbox.parked.defer(cause._replace(reason=reason), due=due)

    def _note_delivered(self, row: Pending, cause: DueCause) -> None:
        self._delivered.add(row.seq)
        self._outbox.confirm([row.seq])
        log.info(
            "parked message delivered",
            event_id=row.message.id,
            routing_key=row.message.routing_key,
            attempts=cause.attempts + 1,
        )

    async def _unpark(self, row: Pending, cause: DueCause) -> None:
        """Let a message that was delivered be parked no longer, and then others of its cause."""
        await self._outbox.parked.unpark(row.seq)
        self._delivered.discard(row.seq)
        # The forwarder releases the others; should it not come to it, the next one is tried.
        await self._outbox.parked.defer(cause, due=time.time() + _RELEASE_WITHIN_S)
        if cause.cause not in self._releasing:
            self._releasing.append(cause.cause)
        self._wake.set()


def log_unreadable(error: OutboxError) -> None:
    """Log that the outbox can't be read; without a traceback, for the sentence says it all."""
    log.error("outbox unreadable", reason=str(error))


async def _publish_alone(session: Session[Pending], row: Pending) -> PublishOutcome[Pending]:
    """Publish a message. That the broker does not answer is no more than a failed attempt."""
    try:
        return await session.publish_alone(row)
    except BrokerError:
        return PublishOutcome([], [row])


def _delay_s(attempt: int) -> float:
    delay_s = backoff.delay_s(attempt, first_s=_FIRST_RETRY_S, last_s=MAX_DELAY_S)
    return min(delay_s, MAX_DELAY_S)
