"""How long what was read of a queue counts as fresh."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aio_pika.abc import AbstractConnection

from relay.console.triage.waiting import WaitingQueue, WaitingReader
from relay.console.watching.queues import QueueWatch
from relay.errors import BrokerError

QUEUE = WaitingQueue(name="webhooks.quarantine")


@asynccontextmanager
async def not_connected() -> AsyncIterator[AbstractConnection]:
    raise BrokerError("There is no broker here.")
    yield


@pytest.mark.parametrize(
    ("set_back_s", "is_fresh"), [(0, True), (-3, True), (-6, False), (1, False), (3600, False)]
)
async def test_a_reading_is_fresh_for_five_seconds_whatever_the_clock_does(
    *, set_back_s: float, is_fresh: bool
) -> None:
    watch = QueueWatch(not_connected, quarantine=QUEUE.name, unrouted="unrouted", dead=[])
    reader = WaitingReader(not_connected, watch)
    first = await reader.reading(QUEUE)

    first.at += set_back_s  # as if the clock had been set back since
    second = await reader.reading(QUEUE)

    assert first.problem == "There is no broker here."
    assert (second is first) == is_fresh
