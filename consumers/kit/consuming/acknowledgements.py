"""Which deliveries are settled, told to the broker in as few frames as possible. Pure."""

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
        self._unsettled: dict[int, None] = {}  # delivery tags in their order
        self._settled: set[int] = set()

    @property
    def in_hand(self) -> int:
        """How many messages are delivered and not settled."""
        return len(self._unsettled) - len(self._settled)

    def delivered(self, tag: int) -> None:
        """Take note of a delivery."""
        self._unsettled[tag] = None

    def settle(self, tag: int) -> None:
        """Let a delivery be acknowledged; once, since the broker closes the channel over more."""
        if tag in self._unsettled:
            self._settled.add(tag)

    def frames(self) -> bytes:
        """Return acknowledgements: one for all up to the first unsettled, one for each other."""
        upto = 0
        for tag in self._unsettled:
            if tag not in self._settled:
                break
            upto = tag
        others = sorted([tag for tag in self._settled if tag > upto])
        for tag in self._settled:
            del self._unsettled[tag]
        self._settled.clear()
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
