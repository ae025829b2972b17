"""Connect to RabbitMQ again and again: one broker after the other, with growing delays."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence

from relay.broker.connection import read_url
from relay.errors import BrokerError, TopologyError
from relay.process import backoff

_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 5.0
"""An attempt costs next to nothing, and in `confirm` mode senders get 503 until one succeeds."""
_TOPOLOGY_RETRY_S = 60.0  # a person has to repair it
_STEADY_S = 5.0
"""A connection that lasted for so long resets the delay. One that ends sooner does not: a user
without the rights it needs, for example, can connect again and again."""


async def run_forever(
    urls: Sequence[str],
    use: Callable[[str], Awaitable[None]],
    *,
    on_lost: Callable[[BrokerError], None],
) -> None:
    """Call use with one of urls, and with the next one whenever it ends with BrokerError.

    Args:
        urls: brokers, tried in turn. Each is read anew from its file or variable for every try.
        use: connects and works until the connection is lost. Any error other than BrokerError is
            a bug of ours, and is raised.
        on_lost: called with each BrokerError.
    """
    loop = asyncio.get_running_loop()
    attempt = 0
    for url in itertools.cycle(urls):
        began_at = loop.time()
        try:
            with explaining_odd_ends():
                await use(read_url(url))
        except BrokerError as error:
            raise_if_cancelled()
            on_lost(error)
            attempt = 1 if loop.time() - began_at > _STEADY_S else attempt + 1
            await asyncio.sleep(_delay_s(attempt, error))


@contextlib.contextmanager
def explaining_odd_ends() -> Iterator[None]:
    """Make two odd ways in which aiormq 7.2 ends its calls a BrokerError.

    When a connection falls silent, aiormq cancels the calls that wait for it. When one ends without
    a reason, they raise a plain `Exception`, which no name can catch.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        raise BrokerError("The connection was lost: it fell silent.") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise BrokerError("The connection was lost: it ended without a reason.") from error


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task is being cancelled and aiormq 7.2 swallowed that.

    It does so when it is cancelled while connecting. Without this, the process might never stop.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _delay_s(attempt: int, error: BrokerError) -> float:
    if isinstance(error, TopologyError):
        return backoff.delay_s(1, first_s=_TOPOLOGY_RETRY_S, last_s=_TOPOLOGY_RETRY_S)
    return backoff.delay_s(attempt, first_s=_FIRST_RETRY_S, last_s=_LAST_RETRY_S)
