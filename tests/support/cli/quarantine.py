"""The quarantine, seen from beside the commands, and deliveries for it."""

from aio_pika.abc import AbstractConnection
from pamqp import commands

from relay.events.message import Message, Origin
from relay.events.quarantine import encode_quarantined
from relay.events.topology import quarantine_exchange
from tests.conftest import SAMPLES

ORIGIN = Origin(vendor="swiftsell", source="acme")
UNDERSTOOD = (SAMPLES / "swiftsell" / "02-message-text.json").read_bytes()
RECEIVED_AT = 1_693_577_625.503552
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def quarantined(
    body: bytes, origin: Origin = ORIGIN, *, age_s: float = 0, delivery_id: str = "d1"
) -> Message:
    return encode_quarantined(
        body,
        reason="not_json",
        origin=origin,
        received_at=RECEIVED_AT - age_s,
        delivery_id=delivery_id,
        headers={"content-type": "text/odd", "x-note": "a\x1b[2J", "traceparent": TRACEPARENT},
        secrets=(),
    )


NOT_JSON, NOW_JSON = quarantined(b"\x1b[31m<xml/>\n\xff"), quarantined(UNDERSTOOD, age_s=60)


class Quarantine:
    """The queue, seen from beside the commands."""

    def __init__(self, connection: AbstractConnection, exchange: str) -> None:
        self._connection = connection
        self._name = quarantine_exchange(exchange)

    async def put(self, *messages: Message, without: str = "") -> None:
        """Publish messages, without the header of that name."""
        async with self._connection.channel() as channel:
            wire = await channel.get_underlay_channel()
            for message in messages:
                properties = commands.Basic.Properties()
                properties.unmarshal(int.from_bytes(message.properties[:2]), message.properties[2:])
                properties.headers.pop(without, None)
                await wire.basic_publish(
                    message.body,
                    exchange=self._name,
                    routing_key=message.routing_key,
                    properties=properties,
                )

    async def holds(self, *messages: Message) -> bool:
        """Return whether it holds exactly these; they are put back."""
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self._name, passive=True)
            found = []
            while message := await queue.get(fail=False):
                found.append(message.message_id)
        return sorted(map(str, found)) == sorted(message.id for message in messages)
