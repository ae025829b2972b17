"""A broker connection for as long as one command runs."""

import contextlib
from collections.abc import AsyncIterator

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPChannelError, AMQPError, ChannelInvalidStateError

from relay.broker.connection import close, connect_to_any
from relay.errors import BrokerError
from relay.observability import logs
from relay.settings import BrokerSettings


@contextlib.asynccontextmanager
async def watching(settings: BrokerSettings) -> AsyncIterator[AbstractConnection]:
    """Connect as `connected`, for what goes on for long and does little that could be wrong.

    Raises:
        BrokerError: see there; also for a RuntimeError, which is aio_pika's word for a connection
            that is closed.
    """
    async with connected(settings) as connection:
        try:
            yield connection
        except RuntimeError as error:
            raise BrokerError("The connection to RabbitMQ was lost.") from error


@contextlib.asynccontextmanager
async def connected(settings: BrokerSettings) -> AsyncIterator[AbstractConnection]:
    """Connect to the first broker that accepts a connection; close it at the end.

    Raises:
        BrokerError: none accepts one, or the broker refused something or was lost meanwhile.
    """
    logs.silence_libraries()
    connection = await connect_to_any(settings.urls, heartbeat_s=settings.heartbeat_s)
    try:
        yield connection
    except BrokenPipeError:
        raise  # not of the broker: whoever reads our output, such as `head`, has closed it
    except AMQPChannelError as error:
        raise BrokerError(f"RabbitMQ refused it: {error}.") from error
    except TimeoutError as error:
        raise BrokerError("RabbitMQ did not answer in time.") from error
    except (AMQPError, ConnectionError, ChannelInvalidStateError) as error:
        raise BrokerError("The connection to RabbitMQ was lost.") from error
    finally:
        await close(connection)
