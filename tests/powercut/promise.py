"""What is promised at a point of a recording: from an acknowledgement until a confirm, it is there.

Either a load says so in a journal of its own, or it is read off the wire: the bytes of an answer
200 as they are handed to the system, and those of RabbitMQ's confirm as they come out of it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

from pamqp import commands, frame, header

from tests.powercut.recording import Call

_SENDING = {"write", "writev", "sendto", "sendmsg"}
_RECEIVING = {"read", "readv", "recvfrom", "recvmsg"}
_GREETING = b"AMQP\x00\x00\x09\x01"
_FRAME_OVERHEAD_BYTES = 8
_METHOD, _HEADER = 1, 2


class Promise(Protocol):
    """What is owed at a point of a recording."""

    @property
    def owed(self) -> Counter[str]:
        """How many rows of each event must be there: one per acknowledgement, less confirms."""

    def see(self, call: Call) -> None:
        """Take note of a call."""


class _Balance:
    """Acknowledgements less confirms, in whatever order they come."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, event_id: str, change: int) -> None:
        self._counts[event_id] += change
        if not self._counts[event_id]:
            del self._counts[event_id]

    @property
    def owed(self) -> Counter[str]:
        return +self._counts


class JournalPromise(_Balance):
    """What a load writes: `a ID` once acknowledged, `c ID` before it confirms.

    Args:
        journal: its path.
    """

    def __init__(self, journal: str) -> None:
        super().__init__()
        self._journal = journal

    def see(self, call: Call) -> None:
        if call.path == self._journal and call.is_begun and call.strings:
            for line in call.strings[0].decode().splitlines():
                kind, event_id = line.split()
                self.add(event_id, 1 if kind == "a" else -1)


class WirePromise(_Balance):
    """What relays answer, and what RabbitMQ confirms.

    `acknowledged` has all ids that were ever answered with 200.
    """

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: Counter[str] = Counter()
        self._connections: dict[str, _Connection] = {}

    def see(self, call: Call) -> None:
        if not call.path.startswith("socket:"):
            return
        data = b"".join(call.strings)
        if call.name in _SENDING:
            if call.is_begun:  # from here on, the caller may have it
                for event_id in _answered(data):
                    self.acknowledged[event_id] += 1
                    self.add(event_id, 1)
            if call.is_done:
                self._sent(call.path, data[: call.result])
        elif call.name in _RECEIVING and call.is_done and call.path in self._connections:
            for event_id in self._connections[call.path].received(data[: call.result]):
                self.add(event_id, -1)

    def _sent(self, path: str, data: bytes) -> None:
        if data.startswith(_GREETING):
            self._connections[path] = _Connection()
            data = data[len(_GREETING) :]
        if path in self._connections:
            self._connections[path].sent(data)


def _answered(data: bytes) -> list[str]:
    """Return the ids in an answer to a delivery, each as often as it is in it."""
    if not data.startswith(b"HTTP/1.1 200 "):
        return []
    body = data.partition(b"\r\n\r\n")[2]
    if not body.startswith(b'{"status":"'):
        return []  # a question of the admin port's
    answer = json.loads(body)
    alone = [answer["id"]] if "id" in answer else []
    quarantined = [each["id"] for each in answer.get("quarantined", [])]
    return [*answer.get("events", []), *alone, *quarantined]


class _Connection:
    """A connection to RabbitMQ: which messages the relay sent, and which of them it confirmed."""

    def __init__(self) -> None:
        self._sent, self._received = bytearray(), bytearray()
        self._channels: dict[int, _Channel] = {}

    def sent(self, data: bytes) -> None:
        self._sent += data
        for number, found in _frames(self._sent):
            match found:
                case commands.Confirm.Select():
                    self._channels[number] = _Channel()
                case commands.Basic.Publish() if number in self._channels:
                    self._channels[number].last += 1
                case header.ContentHeader() if number in self._channels:
                    channel = self._channels[number]
                    channel.unconfirmed[channel.last] = str(found.properties.message_id)

    def received(self, data: bytes) -> Iterator[str]:
        """Yield the ids of messages that are confirmed now."""
        self._received += data
        for number, found in _frames(self._received):
            channel = self._channels.get(number)
            if channel is None:
                continue
            match found:
                case commands.Basic.Ack():
                    for event_id in channel.settle(found.delivery_tag, multiple=found.multiple):
                        if event_id not in channel.returned:
                            yield event_id
                        channel.returned.discard(event_id)
                case commands.Basic.Nack():
                    channel.settle(found.delivery_tag, multiple=found.multiple)
                case header.ContentHeader():  # of a message that comes back, which is acked, too
                    channel.returned.add(str(found.properties.message_id))


class _Channel:
    """A channel in confirm mode: messages have tags from 1 on (AMQP extension `confirm.select`)."""

    def __init__(self) -> None:
        self.last = 0
        self.unconfirmed: dict[int, str] = {}
        self.returned: set[str] = set()

    def settle(self, tag: int, *, multiple: bool) -> list[str]:
        """Return the messages that a confirm is about."""
        tags = [each for each in self.unconfirmed if each <= tag] if multiple else [tag]
        return [self.unconfirmed.pop(each) for each in tags if each in self.unconfirmed]


def _frames(data: bytearray) -> Iterator[tuple[int, Any]]:
    """Take whole frames off the beginning; yield the channel and content of all but bodies."""
    while len(data) >= _FRAME_OVERHEAD_BYTES:
        size = int.from_bytes(data[3:7]) + _FRAME_OVERHEAD_BYTES
        if len(data) < size:
            return
        if data[0] in (_METHOD, _HEADER):
            _, number, found = frame.unmarshal(bytes(data[:size]))
            yield number, found
        del data[:size]
