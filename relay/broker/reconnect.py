"""Whatever needs RabbitMQ, begun anew for ever: one broker after the other, with growing delays."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence

from relay.errors import BrokerError, TopologyError

_FIRST_RETRY_S, _LAST_RETRY_S, _TOPOLOGY_RETRY_S = 0.2, 15.0, 60.0
_LASTING_S = 5.0


async def run_forever(
    urls: Sequence[str],
    use: Callable[[str], Awaitable[None]],
    *,
    on_lost: Callable[[BrokerError], None],
) -> None:
    """Call use with one of urls, and with the next one whenever it ends with BrokerError.

    Args:
        urls: brokers, tried in turn.
        use: connects and works until the connection is lost. Any other error than BrokerError is
            a bug of ours and ends this, too.
        on_lost: told of each end.
    """
    loop = asyncio.get_running_loop()
    delay_s = 0.0
    for url in itertools.cycle(urls):
        began_at = loop.time()
        try:
            await _use(use, url)
        except BrokerError as error:
            raise_if_cancelled()
            on_lost(error)
            # A session that ends at once, for want of a right, say, is no reason to hurry.
            if loop.time() - began_at > _LASTING_S:
                delay_s = 0.0
            delay_s = _next_delay(delay_s, error)
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311  jitter


async def _use(use: Callable[[str], Awaitable[None]], url: str) -> None:
    """Call use, and take two ways in which aiormq 7.2 ends its calls for what they are.

    When a connection falls silent it cancels them; when one ends without a reason of its own, it
    raises `Exception`, of no kind that could be caught by name.
    """
    try:
        await use(url)
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        raise BrokerError("The connection was lost: it fell silent.") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise BrokerError("The connection was lost: it ended without a reason.") from error


def raise_if_cancelled() -> None:
    """Go through with a cancellation that aiormq 7.2 turned into an error of its own, or lost.

    It does so when it is cancelled while connecting. Without this, the process may never stop.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _next_delay(previous_s: float, error: BrokerError) -> float:
    if isinstance(error, TopologyError):
        return _TOPOLOGY_RETRY_S  # a person has to mend it
    return min(max(previous_s * 2, _FIRST_RETRY_S), _LAST_RETRY_S)
