"""A broker connection for the time of one command."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from relay import broker, logs
from relay.errors import BrokerError
from relay.settings import BrokerSettings

_CLOSE_TIMEOUT_S = 5


@contextlib.asynccontextmanager
async def connected(settings: BrokerSettings) -> AsyncIterator[AbstractConnection]:
    """Open a connection to the first broker that accepts one; close it at the end.

    Raises:
        BrokerError: none did, or the broker refused something or went away meanwhile.
    """
    logs.silence_libraries()
    connection = await broker.connect_to_any(settings.urls, heartbeat_s=settings.heartbeat_s)
    try:
        yield connection
    except BrokenPipeError:
        raise  # of our own output: `| head` has seen enough
    except CONNECTION_EXCEPTIONS as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise BrokerError(f"RabbitMQ broke off: {reason}.") from error
    finally:
        with contextlib.suppress(TimeoutError, *broker.ERRORS):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await connection.close()
