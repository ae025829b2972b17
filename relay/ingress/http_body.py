"""Reading a request's body: bounded in bytes and time, decompressed, nothing parsed.

The limit holds for what is sent, however it is framed, and for what it decompresses to: both
stop at the limit, so neither an endless chunked body nor a zip bomb costs more than that. The
bodies of all connections share a MemoryBudget, so many slow callers together cost no more either.
"""

import asyncio
import zlib
from types import TracebackType
from typing import Self

from aiohttp import web

from relay.errors import BodyTooLarge, BodyTooSlow, ServiceUnavailable, UnsupportedEncoding

_MOST_BYTES_AT_ONCE = 4096
"""A compressed body that is larger is left to a thread: as a bomb it holds everyone up."""

# zlib's way to choose a format; some senders mean raw deflate, -15 (RFC 9110, 8.4.1.2).
_WINDOW_BITS = {"identity": (), "": (), "gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


class MemoryBudget:
    """The memory for all bodies that are being read or understood at a time.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> None:
        """Raise ServiceUnavailable if there is no room for so many more bytes."""
        if size > self._free:
            raise ServiceUnavailable(
                "the bodies of all connections fill ingress.bodies_limit_bytes"
            )
        self._free -= size

    def give_back(self, size: int) -> None:
        """Make room again."""
        self._free += size


class Reservation:
    """What one body has of a room, until the end of the context."""

    def __init__(self, room: MemoryBudget) -> None:
        self._room = room
        self._size = 0

    def grow(self, size: int) -> None:
        """Take so many more bytes, or raise ServiceUnavailable."""
        self._room.take(size)
        self._size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._room.give_back(self._size)


async def read(
    request: web.BaseRequest, share: Reservation, *, limit: int, timeout_s: float
) -> bytes:
    """Return the body, decompressed; it may stay in memory as long as the share does.

    A body that does not decompress is returned as it came: what it is good for is decided
    once it is known who sent it.

    Raises:
        BodyTooLarge, BodyTooSlow, ServiceUnavailable, UnsupportedEncoding: nothing more was read.
        ConnectionError: the caller has gone.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncoding("the Content-Encoding is none of identity, gzip and deflate")
    body = await _read(request, share, limit, timeout_s)
    formats = _WINDOW_BITS[encoding]
    if not formats:
        return body
    if len(body) <= _MOST_BYTES_AT_ONCE:
        plain = _decompress(body, formats, limit)
    else:
        plain = await asyncio.to_thread(_decompress, body, formats, limit)
    share.grow(len(plain))
    return plain


async def _read(
    request: web.BaseRequest, share: Reservation, limit: int, timeout_s: float
) -> bytes:
    declared = request.content_length
    check_size(declared or 0, limit)
    content = request.content
    if content.is_eof():  # small bodies come with their headers; no need for a clock
        body = content.read_nowait()
        check_size(len(body), limit)
        share.grow(len(body))
        return body
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(request, share, limit)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive within {timeout_s} s") from error
    except RuntimeError as error:
        if request.transport is None:  # aiohttp's word for it, when that was so before it waited
            raise ConnectionResetError("the caller has gone") from error
        raise


async def _collect(request: web.BaseRequest, share: Reservation, limit: int) -> bytes:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        check_size(len(body), limit)
        share.grow(len(chunk))
    return bytes(body)


def _decompress(body: bytes, formats: tuple[int, ...], limit: int) -> bytes:
    for window_bits in formats:
        decompressor = zlib.decompressobj(window_bits)
        try:
            plain = decompressor.decompress(body, limit + 1)
        except zlib.error:
            continue
        check_size(len(plain), limit)
        if decompressor.eof and not decompressor.unused_data:
            return plain
    return body


def check_size(size: int, limit: int) -> None:
    """Raise BodyTooLarge for more than limit bytes."""
    if size > limit:
        raise BodyTooLarge(f"the body is larger than {limit} bytes")
