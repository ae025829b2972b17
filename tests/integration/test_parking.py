"""Parking with a real outbox, when sessions end and the disk fails at the wrong moment."""

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from relay.broker.outcome import PublishOutcome
from relay.broker.refusal import Refusal
from relay.events.message import Message
from relay.outbox.database import Pending
from relay.outbox.outbox import Outbox
from relay.outbox.parked import Parking
from relay.parking import ParkedMessages
from tests.integration.outbox.conftest import execute
from tests.support.eventually import eventually

MESSAGES = [
    Message(id=name, routing_key="k", properties=b"", body=b"b", received_at=1.5) for name in "abc"
]
CAUSE = "webhooks k"


class LoneSession:
    """A session that takes whatever is published alone."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def publish_alone(self, item: Pending) -> PublishOutcome[Pending]:
        self.taken.append(item.message.id)
        return PublishOutcome([item], [])


def parked_messages(outbox: Outbox) -> ParkedMessages:
    return ParkedMessages(outbox=outbox, exchange_of=lambda _: "webhooks", wake=outbox._committed)


@pytest.fixture
async def parked(outbox: Outbox) -> ParkedMessages:
    await outbox.append(MESSAGES)
    await outbox.parked.park([Parking(seq, CAUSE, "refused", 5.0) for seq in (1, 2, 3)], due=0)
    return parked_messages(outbox)


async def cancel_before(outbox: Outbox, work: "asyncio.Task[object]", *, is_begun: bool) -> None:
    """Cancel what waits for the outbox's thread, which works on it or has not begun to."""
    begun, disk = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        begun.set()
        disk.wait()

    if is_begun:
        outbox._store.db.set_trace_callback(hang)
    else:
        outbox._thread.do_later(disk.wait)
    await asyncio.sleep(0)
    if is_begun:
        await eventually(begun.is_set)
    work.cancel()
    await asyncio.wait([work])
    disk.set()


@pytest.mark.parametrize("is_begun", [True, False])
async def test_what_is_refused_is_parked_though_its_session_ends_meanwhile(
    outbox: Outbox, *, is_begun: bool
) -> None:
    await outbox.append(MESSAGES)
    parked = parked_messages(outbox)
    refusal = Refusal(reason="no", exchange="webhooks", routing_key="k")
    parked.refuse([Pending(2, MESSAGES[1])], refusal)

    await cancel_before(outbox, asyncio.create_task(parked.write()), is_begun=is_begun)
    await parked.write()

    assert (await outbox.stats()).parked.messages == 1


@pytest.mark.parametrize("is_begun", [True, False])
async def test_what_is_released_is_published_though_its_session_ends_meanwhile(
    outbox: Outbox, parked: ParkedMessages, *, is_begun: bool
) -> None:
    parked._releasing.append(CAUSE)

    releasing = asyncio.create_task(parked.release(2))
    await cancel_before(outbox, releasing, is_begun=is_begun)

    released = [*await parked.release(2), *await parked.release(2), *await parked.release(2)]
    assert released == [1, 2, 3]


async def test_what_was_delivered_alone_is_not_sent_again_though_the_disk_fails(
    outbox: Outbox, parked: ParkedMessages
) -> None:
    await execute(
        outbox,
        "CREATE TRIGGER failing BEFORE DELETE ON parked BEGIN SELECT RAISE(ABORT, 'fails'); END",
    )
    await execute(
        outbox,
        "CREATE TRIGGER failing_too BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    session = LoneSession()

    with capture_logs() as lines:
        retrying = asyncio.create_task(parked.retry(session))
        await eventually(lambda: [line["event"] for line in lines].count("outbox unreadable") == 2)
    await execute(outbox, "DROP TRIGGER failing")
    await execute(outbox, "DROP TRIGGER failing_too")
    await eventually(lambda: parked._releasing)

    retrying.cancel()
    await asyncio.wait([retrying])
    assert session.taken.count("a") == 1
