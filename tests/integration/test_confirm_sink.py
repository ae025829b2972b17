"""`ack_after = "confirm"` without a broker: every delivery gets its answer, and in time."""

import asyncio
from collections.abc import Sequence

import pytest

from relay.broker.outcome import PublishOutcome
from relay.confirm_sink import ConfirmSink, UnconfirmedMessage
from relay.errors import NotDurable
from relay.events.message import Message
from tests.support.eventually import LIMIT_S, eventually

MESSAGES = [
    Message(id=name, routing_key="a", properties=b"", body=b"b", received_at=1.5) for name in "ab"
]


class SilentSession:
    """A session with a broker that takes everything and confirms nothing by itself."""

    is_blocked = False

    def __init__(self) -> None:
        self.published: list[UnconfirmedMessage] = []
        self.on_outcome = lambda _: None

    @property
    def in_flight(self) -> int:
        return len(self.published)

    async def publish(self, batch: Sequence[UnconfirmedMessage]) -> None:
        self.published += batch

    def take_unconfirmed(self) -> list[UnconfirmedMessage]:
        unconfirmed, self.published = self.published, []
        return unconfirmed


def sink_of(confirm_timeout_s: float) -> ConfirmSink:
    return ConfirmSink(
        max_in_flight=10,
        confirm_timeout_s=confirm_timeout_s,
    )


async def test_a_delivery_is_done_when_all_its_messages_are_confirmed() -> None:
    sink, session = sink_of(LIMIT_S), SilentSession()
    forwarding = asyncio.create_task(sink.forward(session))
    await eventually(lambda: sink._session)

    done = sink.append(MESSAGES)
    await eventually(lambda: len(session.published) == 2)
    session.on_outcome(PublishOutcome(session.published[:1], []))
    is_done_early = done.done()
    session.on_outcome(PublishOutcome(session.published[1:], []))

    assert (is_done_early, done.done()) == (False, True)
    forwarding.cancel()
    await asyncio.wait([forwarding])


async def test_a_delivery_does_not_wait_longer_for_a_broker_that_an_alarm_blocks() -> None:
    sink, session = sink_of(0.05), SilentSession()
    forwarding = asyncio.create_task(sink.forward(session))
    await eventually(lambda: sink._session)

    done = sink.append(MESSAGES)

    with pytest.raises(NotDurable, match="did not confirm"):
        async with asyncio.timeout(LIMIT_S):
            await done
    late = session.take_unconfirmed()
    session.on_outcome(PublishOutcome(late, []))  # nobody waits any more
    assert sink.is_drained
    forwarding.cancel()
    await asyncio.wait([forwarding])
