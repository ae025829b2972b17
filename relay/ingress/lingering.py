"""What is left of a connection whose last answer was sent while its caller goes on sending.

A socket that is closed with bytes unread resets the connection, and the caller may lose the answer.
So only our side is closed, and what still comes is dropped (RFC 9112, 9.6).
"""

import asyncio

_MAX_DROPPED_BYTES = 16 * 1024 * 1024


class Lingering(asyncio.Protocol):
    """Drops a bounded part of what comes. Whoever begins it bounds the time."""

    def __init__(self, transport: asyncio.Transport, connection: asyncio.Protocol) -> None:
        self._transport = transport
        self._connection = connection
        self._dropped_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Drop it; cut a caller who does not stop."""
        self._dropped_bytes += len(data)
        if self._dropped_bytes > _MAX_DROPPED_BYTES:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection that it has ended."""
        self._connection.connection_lost(exc)


def linger(transport: asyncio.Transport, connection: asyncio.Protocol) -> None:
    """Close our side of a connection, once all is written, and drop what comes."""
    transport.set_protocol(Lingering(transport, connection))
    transport.write_eof()
    transport.resume_reading()
