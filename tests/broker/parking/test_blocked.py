"""While an alarm blocks RabbitMQ, nothing is tried alone: it would take each attempt in the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from deploy.local.broker import PrivateBroker
from relay.broker.connection import close, connect, is_blocked
from relay.broker.session import Session
from relay.errors import BrokerError
from relay.events import amqp
from relay.events.message import Message
from relay.observability.metrics import BrokerMetrics
from relay.outbox.database import Pending
from tests.support.parked_queue import ParkedQueue
from tests.support.servers import administration

TIMEOUT_S = 0.5


@pytest.fixture
async def session(own_broker: PrivateBroker, exchange: str) -> AsyncIterator[Session[Pending]]:
    connection = await connect(own_broker.url, heartbeat_s=10)
    yield Session(
        connection,
        exchange_of=lambda _: exchange,
        confirm_timeout_s=TIMEOUT_S,
        metrics=BrokerMetrics(None),
    )
    await close(connection)


def pending(name: str) -> Pending:
    properties = amqp.properties(
        message_id=name, message_type="message.created", timestamp_s=1, headers={}
    )
    message = Message(id=name, routing_key="a", properties=properties, body=b"{}", received_at=1.5)
    return Pending(1, message)


async def test_what_is_published_alone_waits_until_the_broker_is_blocked_no_longer(
    own_broker: PrivateBroker, exchange: str, session: Session[Pending]
) -> None:
    await ParkedQueue(own_broker.url, exchange, f"{exchange}-kept").create()
    administration.set_vm_memory_high_watermark(own_broker, 0.0000001)
    try:
        with contextlib.suppress(BrokerError):  # RabbitMQ blocks a connection once it publishes
            await session.publish_alone(pending("first"))
        while not await is_blocked(session._connection):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        publishing = asyncio.create_task(session.publish_alone(pending("second")))
        done, _ = await asyncio.wait([publishing], timeout=2 * TIMEOUT_S)
    finally:
        administration.set_vm_memory_high_watermark(own_broker, 0.4)

    assert not done
    assert (await publishing).confirmed == [pending("second")]
