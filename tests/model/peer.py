"""A broker that does what it is told: it speaks AMQP 0-9-1, and answers when and how one likes.

What it refuses, it refuses in the words of RabbitMQ 3.10.
"""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Protocol

from pamqp import body as content
from pamqp import commands, frame, header
from pamqp.base import Frame

FRAME_END_BYTES = 1
_HEAD_BYTES = 7
_PUBLISH = (60, 40)


@dataclass
class Published:
    """A message as it reached the broker."""

    exchange: str
    routing_key: str
    id: str = ""
    body: bytes = b""
    head: header.ContentHeader | None = None


class Witness(Protocol):
    """Who hears what becomes of messages."""

    def note_sent(self, channel: "Channel", message: Published) -> None: ...
    def note_taken(self, message: Published) -> None: ...
    def note_confirmed(self, channel: "Channel", message: Published) -> None: ...
    def note_failed(self, message: Published) -> None: ...
    def note_unsettled(self, messages: list[Published]) -> None: ...
    def note_lost(self) -> None: ...


@dataclass(eq=False)
class Channel:
    number: int
    connection: "Link"
    last_tag: int = 0
    unsettled: dict[int, Published] = field(default_factory=dict)
    arriving: Published | None = None
    is_closing: bool = False
    highest: int = -1
    """Used by the witness."""


class Link(asyncio.Protocol):
    """The broker's end of one connection."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.channels: dict[int, Channel] = {}
        self._received = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.peer.links.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.end(taken=0)

    def end(self, taken: int) -> None:
        """End the connection; of what was unsettled the first ones are taken."""
        if self not in self.peer.links:
            return
        for channel in self.channels.values():
            self.peer.give_up(channel, taken)
        self.channels.clear()
        self.peer.links.remove(self)
        self.peer.note_lost()
        self._transport.abort()

    def send(self, answer: Frame, channel: int = 0) -> None:
        self._transport.write(frame.marshal(answer, channel))

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= _HEAD_BYTES + FRAME_END_BYTES:
            if self._received.startswith(b"AMQP"):
                del self._received[:8]
                capabilities = {"publisher_confirms": True, "basic.nack": True}
                self.send(
                    commands.Connection.Start(server_properties={"capabilities": capabilities})
                )
                continue
            size = _HEAD_BYTES + int.from_bytes(self._received[3:7]) + FRAME_END_BYTES
            if len(self._received) < size:
                return
            _, number, asked = frame.unmarshal(bytes(self._received[:size]))
            del self._received[:size]
            self._take(number, asked)

    def _take(self, number: int, asked: object) -> None:
        channel = self.channels.get(number)
        match asked:
            case commands.Connection.StartOk():
                self.send(commands.Connection.Tune(channel_max=2047, frame_max=131072, heartbeat=0))
            case commands.Channel.Open():
                self.channels[number] = Channel(number, self)
                self.send(commands.Channel.OpenOk(), number)
            case commands.Channel.CloseOk():
                self.channels.pop(number, None)
            case commands.Channel.Close():
                if channel:
                    self.peer.give_up(self.channels.pop(number), 0)
                self.send(commands.Channel.CloseOk(), number)
            case _ if channel and channel.is_closing:
                return
            case commands.Basic.Publish() | header.ContentHeader() | content.ContentBody():
                assert channel
                self._collect(channel, asked)
            case Frame(synchronous=True):
                self._agree(number, asked)

    def _agree(self, number: int, asked: Frame) -> None:
        """Do what is asked, and say so."""
        if isinstance(asked, commands.Exchange.Declare) and not self.peer.keeps_missing:
            self.peer.missing.discard(asked.exchange)
        kind, _, reply = asked.valid_responses[0].partition(".")
        self.send(getattr(getattr(commands, kind), reply)(), number)

    def _collect(self, channel: Channel, asked: object) -> None:
        if isinstance(asked, commands.Basic.Publish):
            channel.arriving = Published(asked.exchange, asked.routing_key)
            return
        message = channel.arriving
        assert message
        if isinstance(asked, header.ContentHeader):
            message.head, message.id = asked, asked.properties.message_id or ""
        elif isinstance(asked, content.ContentBody):
            message.body += asked.value
        assert message.head
        if len(message.body) == message.head.body_size:
            channel.arriving = None
            self.peer.receive(channel, message)

    def refuse(self, channel: Channel, code: int, text: str) -> None:
        """Close a channel over a message."""
        channel.is_closing = True
        self.peer.give_up(channel, len(channel.unsettled) if self.peer.takes_unsettled else 0)
        self.send(commands.Channel.Close(code, text, *_PUBLISH), channel.number)

    def bring_back(self, channel: Channel, message: Published) -> None:
        """Return a message that has no route."""
        back = commands.Basic.Return(312, "NO_ROUTE", message.exchange, message.routing_key)
        assert message.head
        self.send(back, channel.number)
        self._transport.write(frame.marshal(message.head, channel.number))
        self._transport.write(frame.marshal(content.ContentBody(message.body), channel.number))


class Peer:
    """The broker. What stands in its attributes holds for messages that arrive from then on."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self.links: list[Link] = []
        self.is_up = True
        self.is_holding = False
        self.is_blocked = False
        self.takes_unsettled = False
        """Whether what waits for its confirm is taken when its channel is closed."""
        self.forbidden: set[str] = set()
        self.missing: set[str] = set()
        self.keeps_missing = False
        self.max_bytes = 1 << 20
        self.poison = b""
        """What a message is refused for, in words that name nothing; if not empty."""
        self.nacked: set[str] = set()
        self.unroutable: set[str] = set()

    async def connect(self, far: socket.socket) -> None:
        if not self.is_up:
            raise ConnectionRefusedError("nobody listens")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Link(self), sock=far)

    def permit_all(self) -> None:
        """Take every message from now on."""
        self.forbidden.clear()
        self.missing.clear()
        self.nacked.clear()
        self.unroutable.clear()
        self.max_bytes, self.poison = 1 << 20, b""

    def receive(self, channel: Channel, message: Published) -> None:
        channel.last_tag += 1
        self._witness.note_sent(channel, message)
        if refusal := self._refusal_of(message):
            self._witness.note_failed(message)
            channel.connection.refuse(channel, *refusal)
            return
        channel.unsettled[channel.last_tag] = message
        if not self.is_holding:
            self.answer(channel, channel.last_tag)

    def _refusal_of(self, message: Published) -> tuple[int, str] | None:
        key, exchange, size = message.routing_key, message.exchange, len(message.body)
        if exchange in self.missing:
            return 404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"
        if size > self.max_bytes:
            words = f"message size {size} is larger than configured max size {self.max_bytes}"
            return 406, f"PRECONDITION_FAILED - {words}"
        if key in self.forbidden:
            words = f"access to topic '{key}' in exchange '{exchange}' in vhost '/' refused"
            return 403, f"ACCESS_REFUSED - {words} for user 'guest'"
        if self.poison and self.poison in message.body:
            return 406, "PRECONDITION_FAILED - something new"
        return None

    def waiting(self) -> list[Channel]:
        """Return the channels on which a message waits for its answer."""
        return [
            channel
            for link in self.links
            for channel in link.channels.values()
            if channel.unsettled
        ]

    def answer(
        self, channel: Channel, tag: int, *, is_multiple: bool = False, is_nack: bool = False
    ) -> None:
        """Answer a message, or with one frame all up to it. What has no route goes back before."""
        tags = [each for each in channel.unsettled if each == tag or (is_multiple and each < tag)]
        messages = [channel.unsettled.pop(each) for each in tags]
        if is_nack or any(message.routing_key in self.nacked for message in messages):
            for message in messages:
                self._witness.note_failed(message)
            nack = commands.Basic.Nack(tag, multiple=is_multiple, requeue=False)
            channel.connection.send(nack, channel.number)
            return
        for message in messages:
            if message.routing_key in self.unroutable:
                self._witness.note_failed(message)
                channel.connection.bring_back(channel, message)
            else:
                self._witness.note_taken(message)
                self._witness.note_confirmed(channel, message)
        channel.connection.send(commands.Basic.Ack(tag, multiple=is_multiple), channel.number)

    def give_up(self, channel: Channel, taken: int) -> None:
        """Forget what was unsettled on a channel that has ended; the first ones were taken."""
        messages = list(channel.unsettled.values())
        channel.unsettled.clear()
        self._witness.note_unsettled(messages)
        for message in messages[:taken]:
            self._witness.note_taken(message)

    def note_lost(self) -> None:
        """Note that a connection has ended."""
        self._witness.note_lost()

    def cut(self, taken: int) -> None:
        """Cut all connections."""
        for link in list(self.links):
            link.end(taken)

    def block(self, *, is_blocked: bool) -> None:
        """Block or unblock all connections, as for an alarm."""
        self.is_blocked = is_blocked
        kind = (
            commands.Connection.Blocked("low on memory")
            if is_blocked
            else commands.Connection.Unblocked()
        )
        for link in self.links:
            link.send(kind)
