"""A FastStream service that reads a relay's events, and prints a line of JSON for each.

https://faststream.ag2.ai/latest/rabbit/
"""

import asyncio
import json
import logging
import os
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.rabbit import (
    Channel,
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitMessage,
    RabbitQueue,
)
from pydantic import BaseModel


class Event(BaseModel):
    """The attributes this service cares for."""

    id: str
    type: str
    vendor: str
    data: dict[str, Any]


async def decode(message: RabbitMessage) -> Any:
    """Parse the body: FastStream by itself parses `application/json` alone."""
    return json.loads(message.body)


broker = RabbitBroker(
    os.environ["BROKER_URL"],
    decoder=decode,
    default_channel=Channel(prefetch_count=100),
    logger=logging.getLogger(__name__),  # its own writes to the standard output
)
app = FastStream(broker)


@broker.subscriber(
    RabbitQueue(
        os.environ["QUEUE"], queue_type=QueueType.QUORUM, routing_key=os.environ["PATTERN"]
    ),
    RabbitExchange(os.environ["EXCHANGE"], type=ExchangeType.TOPIC, declare=False),
    ack_policy=AckPolicy.NACK_ON_ERROR,  # by default it throws away what failed
)
async def read(event: Event, message: RabbitMessage) -> None:
    line = {
        "routing_key": message.raw_message.routing_key,
        "id": event.id,
        "type": event.type,
        "message_id": message.message_id,
        "content_type": message.content_type,
        "vendor": event.vendor,
    }
    print(json.dumps(line), flush=True)  # noqa: T201  the test reads it


@app.after_startup
async def say_ready() -> None:
    print("ready", flush=True)  # noqa: T201  likewise


if __name__ == "__main__":
    asyncio.run(app.run())
