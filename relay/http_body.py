"""Reading a request's body: bounded in bytes and time, decompressed, nothing parsed.

The limit holds for what is sent, however it is framed, and for what it decompresses to: both
stop at the limit, so neither an endless chunked body nor a zip bomb costs more than that.
"""

import asyncio
import zlib

from aiohttp import web

from relay.errors import BodyTooLarge, BodyTooSlow, UnsupportedEncoding

# zlib's way to choose a format; some senders mean raw deflate, -15 (RFC 9110, 8.4.1.2).
_WINDOW_BITS = {"identity": (), "": (), "gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}


async def read(request: web.BaseRequest, *, limit: int, timeout_s: float) -> bytes:
    """Return the body, decompressed.

    A body that does not decompress is returned as it came: what it is good for is decided
    once it is known who sent it.

    Raises:
        BodyTooLarge, BodyTooSlow, UnsupportedEncoding: nothing more was read.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncoding("the Content-Encoding is none of identity, gzip and deflate")
    body = await _read(request, limit, timeout_s)
    formats = _WINDOW_BITS[encoding]
    return _decompress(body, formats, limit) if formats else body


async def _read(request: web.BaseRequest, limit: int, timeout_s: float) -> bytes:
    declared = request.content_length
    check_size(declared or 0, limit)
    content = request.content
    if content.is_eof():  # small bodies come with their headers; no need for a clock
        body = content.read_nowait()
        check_size(len(body), limit)
        return body
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(timeout_s):
            return await _collect(request, limit)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive within {timeout_s} s") from error


async def _collect(request: web.BaseRequest, limit: int) -> bytes:
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        check_size(len(body), limit)
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
