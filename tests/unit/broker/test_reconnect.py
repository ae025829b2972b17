"""What ends a session with the broker, and what ends the relay."""

import asyncio
from pathlib import Path

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

    running = asyncio.create_task(reconnect.run_forever(["amqp://a/"], use, on_lost=told.append))
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


async def test_urls_in_files_are_read_anew_for_every_try(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("amqp://u:before@a/")
    second.write_text("amqp://u:before@b/")
    used: list[str] = []
    told: list[str] = []
    done = asyncio.Event()

    async def use(url: str) -> None:
        used.append(url)
        if url == "amqp://u:after@a/":
            done.set()
            await asyncio.Event().wait()
        first.unlink(missing_ok=True)
        second.write_text("nonsense:secret")
        raise BrokerError("lost")

    def note_lost(error: BrokerError) -> None:
        told.append(str(error))
        if len(told) == 3:
            first.write_text("amqp://u:after@a/\n")

    urls = [f"file:{first}", f"file:{second}"]
    running = asyncio.create_task(reconnect.run_forever(urls, use, on_lost=note_lost))
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()

    assert used == ["amqp://u:before@a/", "amqp://u:after@a/"]
    lost, wrong, gone, *_ = told
    assert lost == "lost"
    assert wrong.startswith(f"broker.urls: file:{second} must be amqp://")
    assert gone.startswith(f"broker.urls: the file {first} can't be read")
    assert "secret" not in wrong
