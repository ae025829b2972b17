"""Ports on loopback."""

import asyncio
import contextlib


async def is_taken(port: int) -> bool:
    """Return whether somebody listens on a port."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False
