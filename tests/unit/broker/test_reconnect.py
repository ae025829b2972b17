"""What ends a session with the broker, and what ends the relay."""

import asyncio

import pytest

from relay.broker import reconnect
from relay.errors import BrokerError


async def lost_with(error: BaseException) -> str:
    """Return what is said when use ends with error, once it was called again."""
    told: list[BrokerError] = []
    again = asyncio.Event()

    async def use(_: str) -> None:
        if told:
            again.set()
            await asyncio.Event().wait()
        raise error

    running = asyncio.create_task(reconnect.run_forever(["a"], use, on_lost=told.append))
    waiting = asyncio.create_task(again.wait())
    await asyncio.wait({running, waiting}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        await running
    running.cancel()
    return str(told[0])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BrokerError("as it is"), "as it is"),
        (asyncio.CancelledError(), "fell silent"),  # so does aiormq 7.2
        (Exception(), "without a reason"),  # and so
    ],
)
async def test_whatever_ends_a_connection_a_new_one_is_made(
    error: BaseException, words: str
) -> None:
    assert words in await lost_with(error)


async def test_a_bug_of_ours_is_no_lost_connection() -> None:
    with pytest.raises(ZeroDivisionError):
        await lost_with(ZeroDivisionError())
