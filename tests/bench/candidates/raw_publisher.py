"""The broker's limit: a publisher that does nothing but write, and count confirms.

    python -m tests.bench.candidates.raw_publisher URL EXCHANGE SECONDS COUNT

Frames are made beforehand; a plain socket, no event loop, no library, as many messages in flight
as the relay allows. Publishes for SECONDS, but no more than about COUNT. Prints what it took.
"""

import json
import socket
import struct
import sys
import time
from urllib.parse import urlsplit

from pamqp import commands, frame, header
from pamqp.base import Frame

from relay.events import amqp
from tests.bench.candidates.stopwatch import Stopwatch
from tests.bench.harness import workload

_CHANNEL = 1
_FRAME_MAX = 131_072
_IN_FLIGHT = 2_000  # broker.max_in_flight
_RECEIVE_BYTES = 65_536
# A confirm: frame type, channel, size 13, class 60, method 80 (ack), tag, multiple, frame end.
_confirm = struct.Struct(">BHIHHQ?B")
_ACK = (60, 80)


class RawPublisher:
    """One connection in confirm mode."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "", address.port or 5672))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        self._confirmed_up_to = 0
        self._confirmed_beyond: set[int] = set()
        self._log_in(address.username or "guest", address.password or "guest")

    def _log_in(self, name: str, password: str) -> None:
        self._socket.sendall(frame.marshal(header.ProtocolHeader(), 0))
        self._receive()
        self._send(0, commands.Connection.StartOk({}, "PLAIN", f"\0{name}\0{password}", "en_US"))
        self._receive()
        self._send(0, commands.Connection.TuneOk(_CHANNEL, _FRAME_MAX, 0))
        for channel, method in (
            (0, commands.Connection.Open("/")),
            (_CHANNEL, commands.Channel.Open()),
            (_CHANNEL, commands.Confirm.Select()),
        ):
            self._send(channel, method)
            self._receive()

    def _send(self, channel: int, method: Frame) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _receive(self) -> None:
        """Read one frame, whatever it is: the next thing sent would fail if it were a refusal."""
        while not (length := frame.unmarshal(self._unread)[0] if len(self._unread) > 7 else 0):
            self._unread += self._socket.recv(_RECEIVE_BYTES)
        self._unread = self._unread[length:]

    def publish(self, payload: bytes, messages: int, seconds: float, count: int) -> int:
        """Write payload again and again; return how many messages were confirmed, which is all."""
        ends_at = time.monotonic() + seconds
        sent = 0
        while sent < count and time.monotonic() < ends_at:
            while sent - self._confirmed + messages > _IN_FLIGHT:
                self._read_confirms()
            self._socket.sendall(payload)
            sent += messages
        while self._confirmed < sent:
            self._read_confirms()
        return sent

    @property
    def _confirmed(self) -> int:
        return self._confirmed_up_to + len(self._confirmed_beyond)

    def _read_confirms(self) -> None:
        data = self._unread + self._socket.recv(_RECEIVE_BYTES)
        whole = len(data) - len(data) % _confirm.size
        self._unread = data[whole:]
        for *_, class_id, method_id, tag, is_multiple, _ in _confirm.iter_unpack(data[:whole]):
            if (class_id, method_id) != _ACK:
                raise SystemExit("The broker sent something else than a confirm.")
            if is_multiple:
                self._confirmed_up_to = tag
                self._confirmed_beyond = {
                    confirmed for confirmed in self._confirmed_beyond if confirmed > tag
                }
            else:
                self._confirmed_beyond.add(tag)
            while self._confirmed_up_to + 1 in self._confirmed_beyond:
                self._confirmed_up_to += 1
                self._confirmed_beyond.discard(self._confirmed_up_to)


def main() -> None:
    """Publish, and print what it took."""
    url, exchange, seconds, count = sys.argv[1:]
    messages = workload.messages()
    payload = amqp.publish_frames(
        [(exchange, message) for message in messages], channel=_CHANNEL, frame_max=_FRAME_MAX
    )
    publisher = RawPublisher(url)
    watch = Stopwatch()
    events = publisher.publish(payload, len(messages), float(seconds), int(count))
    print(json.dumps(watch.result(events)))


if __name__ == "__main__":
    main()
