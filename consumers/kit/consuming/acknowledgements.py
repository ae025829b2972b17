"""Which deliveries are done, reported to the broker in as few frames as possible. Pure."""

import struct

_METHOD, _FRAME_END = 1, 0xCE  # AMQP 0-9-1, 4.2.3
_BASIC, _ACK = 60, 80  # class and method id
# Frame type, channel, size; class, method; delivery tag, bits (`multiple` is the first); end.
_ack = struct.Struct(">BHIHHQBB")
_ACK_SIZE = 2 + 2 + 8 + 1


class Acknowledgements:
    """The deliveries of one channel that are in hand, and those of them to be acknowledged.

    Args:
        channel: its number.
    """

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._unacknowledged: dict[int, None] = {}  # delivery tags in their order
        self._done: set[int] = set()

    @property
    def in_hand(self) -> int:
        """How many deliveries are not done."""
        return len(self._unacknowledged) - len(self._done)

    def add(self, tag: int) -> None:
        """Remember a delivery."""
        self._unacknowledged[tag] = None

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery; once, since the broker closes the channel over a second time."""
        if tag in self._unacknowledged:
            self._done.add(tag)

    def is_done(self, tag: int) -> bool:
        """Return whether a delivery is not in hand any more."""
        return tag in self._done or tag not in self._unacknowledged

    def take_frames(self) -> bytes:
        """Return the frames to send: one for all up to the first in hand, one for each other."""
        upto = 0
        for tag in self._unacknowledged:
            if tag not in self._done:
                break
            upto = tag
        others = sorted([tag for tag in self._done if tag > upto])
        for tag in self._done:
            del self._unacknowledged[tag]
        self._done.clear()
        parts = [self._frame(upto, is_multiple=True)] if upto else []
        return b"".join([*parts, *[self._frame(tag, is_multiple=False) for tag in others]])

    def _frame(self, tag: int, *, is_multiple: bool) -> bytes:
        return _ack.pack(
            _METHOD,
            self._channel,
            _ACK_SIZE,
            _BASIC,
            _ACK,
            tag,
            is_multiple,
            _FRAME_END,
        )
