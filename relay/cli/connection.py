"""A broker connection for the time of one command."""

import contextlib
from collections.abc import AsyncIterator

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPChannelError, AMQPError, ChannelInvalidStateError

from relay.broker import connection as broker
from relay.errors import BrokerError
from relay.observability import logs
from relay.settings import BrokerSettings


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
    except AMQPChannelError as error:
        raise BrokerError(f"RabbitMQ refused it: {error}.") from error
    except TimeoutError as error:
        raise BrokerError("RabbitMQ did not answer in time.") from error
    except (AMQPError, ConnectionError, ChannelInvalidStateError) as error:
        raise BrokerError("The connection to RabbitMQ was lost.") from error
    finally:
        await broker.close(connection)
