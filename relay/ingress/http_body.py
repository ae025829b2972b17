"""Bodies: bounded in memory and decompressed, nothing parsed.

The limit holds for what is sent, however it is framed, and for what it decompresses to: neither an
endless chunked body nor a zip bomb costs more than that. The bodies of all connections share a
MemoryBudget, so many slow callers together cost no more either.
"""

import asyncio
import zlib

from relay.errors import BodyTooLarge, ServiceUnavailable, UnsupportedEncoding

_MAX_BYTES_ON_LOOP = 4096
"""A larger compressed body is left to a thread: as a bomb it would hold up everyone."""

# zlib's way to choose a format; some senders mean raw deflate, -15 (RFC 9110, 8.4.1.2).
_WINDOW_BITS = {"identity": (), "gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
_UNSUPPORTED = frozenset(
    ["aes128gcm", "br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"]
)
"""The other content codings. https://www.iana.org/assignments/http-parameters"""


class MemoryBudget:
    """The memory for all bodies that are being read or processed at a time.

    Args:
        size_bytes: of all together.
    """

    def __init__(self, size_bytes: int) -> None:
        self._free_bytes = size_bytes

    def take(self, size_bytes: int) -> None:
        """Raise ServiceUnavailable if so many more bytes do not fit."""
        if size_bytes > self._free_bytes:
            raise ServiceUnavailable(
                "the bodies of all connections fill ingress.bodies_limit_bytes"
            )
        self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Make room again."""
        self._free_bytes += size_bytes


class Reservation:
    """What one body takes of a budget, until it is released."""

    __slots__ = ("_budget", "_size_bytes")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size_bytes = 0

    def grow(self, size_bytes: int) -> None:
        """Take so many more bytes, or raise ServiceUnavailable."""
        self._budget.take(size_bytes)
        self._size_bytes += size_bytes

    def release(self) -> None:
        """Give everything back."""
        if self._size_bytes:
            self._budget.give_back(self._size_bytes)
            self._size_bytes = 0


def check_size(size_bytes: int, limit_bytes: int) -> None:
    """Raise BodyTooLarge for more than limit_bytes."""
    if size_bytes > limit_bytes:
        raise BodyTooLarge(f"the body is larger than {limit_bytes} bytes")


def check_encoding(encoding: str) -> None:
    """Raise UnsupportedEncoding for a Content-Encoding that `decompressed` can't read."""
    if _coding(encoding) not in _WINDOW_BITS:
        raise UnsupportedEncoding("the Content-Encoding is none of identity, gzip and deflate")


async def decompressed(
    body: bytes, encoding: str, reservation: Reservation, *, limit_bytes: int
) -> bytes:
    """Return the body as it was before compression; reservation grows by its size.

    A body that does not decompress is returned as it came: only an authenticated one is
    quarantined, and who sent it is not known yet.

    Raises:
        BodyTooLarge, ServiceUnavailable: it was not decompressed further.
    """
    formats = _WINDOW_BITS[_coding(encoding)]
    if not formats:
        return body
    if len(body) <= _MAX_BYTES_ON_LOOP:
        plain = _decompress(body, formats, limit_bytes)
    else:
        plain = await asyncio.to_thread(_decompress, body, formats, limit_bytes)
    reservation.grow(len(plain))
    return plain


def _coding(encoding: str) -> str:
    """Return the codings a Content-Encoding names. Others, such as UTF-8, say nothing of bytes."""
    names = [name.strip().lower() for name in encoding.split(",")]
    codings = [name for name in names if name in _WINDOW_BITS or name in _UNSUPPORTED]
    return ",".join(name for name in codings if name != "identity") or "identity"


def _decompress(body: bytes, formats: tuple[int, ...], limit_bytes: int) -> bytes:
    for window_bits in formats:
        decompressor = zlib.decompressobj(window_bits)
        try:
            plain = decompressor.decompress(body, limit_bytes + 1)
        except zlib.error:
            continue
        check_size(len(plain), limit_bytes)
        if decompressor.eof and not decompressor.unused_data:
            return plain
    return body
