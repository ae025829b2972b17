"""The forwarder with a real outbox and a session that takes what a test lets it take."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.broker.outcome import PublishOutcome
from relay.errors import BrokerError
from relay.events.message import Message
from relay.forwarder import Forwarder
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from tests.integration.outbox.conftest import execute
from tests.support.eventually import eventually

MESSAGES = [
    Message(id=name, routing_key="a", properties=b"", body=b"b", received_at=1.5) for name in "abc"
]


class HeldSession:
    """A session that counts how often it is asked for room and confirms when it is told to."""

    def __init__(self, taken: int = 0) -> None:
        self.looks = 0
        self.published: list[Pending] = []
        self.in_flight_bytes = 0
        self.on_outcome = lambda _: None
        self._taken = taken  # in flight from the start, and none of the forwarder's

    @property
    def in_flight(self) -> int:
        self.looks += 1
        return len(self.published) + self._taken

    async def publish(self, batch: Sequence[Pending]) -> None:
        self.published += batch

    def take_unconfirmed(self) -> list[Pending]:
        unconfirmed, self.published = self.published, []
        return unconfirmed

    def confirm(self, count: int) -> None:
        confirmed, self.published = self.published[:count], self.published[count:]
        self.on_outcome(PublishOutcome(confirmed, []))

    def make_room(self) -> None:
        self._taken = 0
        self.on_outcome(PublishOutcome([], []))


def forwarder_of(
    outbox: Outbox, *, max_in_flight: int = len(MESSAGES), read_retry_s: float = 1.0
) -> Forwarder:
    return Forwarder(
        outbox=outbox,
        committed=outbox._committed,
        exchange_of=lambda _: "webhooks",
        max_in_flight=max_in_flight,
        read_retry_s=read_retry_s,
    )


async def test_without_room_in_flight_it_sleeps_though_a_message_is_due(outbox: Outbox) -> None:
    forwarder = forwarder_of(outbox)
    await outbox.append(MESSAGES)
    first, second = HeldSession(), HeldSession(taken=len(MESSAGES))
    forwarding = asyncio.create_task(forwarder.forward(first))
    await eventually(lambda: len(first.published) == len(MESSAGES))
    forwarding.cancel()
    await asyncio.wait([forwarding])

    forwarding = asyncio.create_task(forwarder.forward(second))
    for _ in range(100):
        await asyncio.sleep(0)
    looks = second.looks
    second.make_room()

    await eventually(lambda: [pending.message for pending in second.published] == MESSAGES)
    forwarding.cancel()
    await asyncio.wait([forwarding])
    assert looks < 5
    assert not forwarder.is_drained


@pytest.mark.parametrize(("window", "room"), [(1, 1), (3, 1), (8, 2), (40, 10), (2_000, 500)])
async def test_while_the_window_is_full_it_waits_for_room_for_a_batch(
    outbox: Outbox, window: int, room: int
) -> None:
    await outbox.append(MESSAGES * window)
    session = HeldSession()
    forwarding = asyncio.create_task(forwarder_of(outbox, max_in_flight=window).forward(session))
    await eventually(lambda: len(session.published) == window)

    for _ in range(room - 1):
        session.confirm(1)
        for _ in range(5):
            await asyncio.sleep(0)
    before = len(session.published)
    session.confirm(1)

    assert before == window - room + 1
    await eventually(lambda: len(session.published) == window)
    assert [pending.seq for pending in session.published] == [*range(room + 1, window + room + 1)]
    forwarding.cancel()
    await asyncio.wait([forwarding])


async def test_an_outbox_that_can_not_be_read_for_a_while_is_read_again(
    outbox: Outbox,
) -> None:
    await outbox.append(MESSAGES)
    await outbox.pending(after=0, limit=100)  # now they are in memory no more
    await execute(outbox, "ALTER TABLE outbox RENAME TO away")
    forwarder = forwarder_of(outbox, max_in_flight=10, read_retry_s=0.01)
    session = HeldSession()

    with capture_logs() as lines:
        forwarding = asyncio.create_task(forwarder.forward(session))
        await eventually(lambda: lines)
        await execute(outbox, "ALTER TABLE away RENAME TO outbox")
        await eventually(lambda: [pending.message for pending in session.published] == MESSAGES)

    forwarding.cancel()
    await asyncio.wait([forwarding])
    assert {line["event"] for line in lines} == {"outbox unreadable"}


class FailingSession(HeldSession):
    """A session whose connection is lost while a batch is published."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = asyncio.Event()

    async def publish(self, batch: Sequence[Pending]) -> None:
        await super().publish(batch)
        self.failing.set()
        raise BrokerError("The channel is closed.")


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_in_flight_is_published_again_however_its_session_ends(
    outbox: Outbox, turns: int
) -> None:
    forwarder = forwarder_of(outbox)
    await outbox.append(MESSAGES)
    first, second = FailingSession(), HeldSession()
    forwarding = asyncio.create_task(forwarder.forward(first))
    await first.failing.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    forwarding.cancel()  # since the session sees by itself that it has ended
    await asyncio.wait([forwarding])

    forwarding = asyncio.create_task(forwarder.forward(second))

    await eventually(lambda: [pending.message for pending in second.published] == MESSAGES)
    forwarding.cancel()
    await asyncio.wait([forwarding])


def has_published(session: HeldSession, count: int) -> bool:
    return len(session.published) == count


class WatchedOutbox(Outbox):
    """An outbox that notes whether its forwarder is drained, whenever that fetches messages."""

    forwarder: Forwarder

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, max_bytes=2**24, committed=asyncio.Event())
        self.drained: list[bool] = []

    async def fetch(self, seqs: Sequence[int]) -> list[Pending]:
        self.drained.append(self.forwarder.is_drained)
        return await super().fetch(seqs)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_it_is_not_drained_while_it_reads_what_it_is_to_publish_again(
    tmp_path: Path, count: int
) -> None:
    outbox = WatchedOutbox(tmp_path)
    await outbox.open()
    await outbox.append(MESSAGES[:count])
    outbox.forwarder = forwarder_of(outbox)

    for session in (HeldSession(), HeldSession()):  # what the first one leaves is published again
        forwarding = asyncio.create_task(outbox.forwarder.forward(session))
        await eventually(partial(has_published, session, count))
        forwarding.cancel()
        await asyncio.wait([forwarding])

    await outbox.close()
    assert outbox.drained == [False]
