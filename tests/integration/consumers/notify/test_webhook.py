"""How a webhook tells many things in few messages, and loses none of them."""

import asyncio
import re
import traceback
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from consumers.kit import Unavailable
from consumers.notify.webhook import Webhook
from relay.errors import RelayError
from relay.process.rate_limiter import RateLimiter
from tests.support.servers.slack import Slack


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as slack:
        yield slack


@pytest.fixture
async def webhook(slack: Slack) -> AsyncIterator[Webhook]:
    """A webhook that may send at once what a test sends, and then 50 messages a second."""
    limiter = RateLimiter(50, burst=5)
    async with aiohttp.ClientSession() as http:
        yield Webhook(name="missed", url=slack.url, http=http, limiter=limiter)


async def under_way(slack: Slack, webhook: Webhook, *texts: str) -> list[asyncio.Task[bool]]:
    """Tell the first text, and the others while its message waits for an answer."""
    slack.is_answering.clear()
    first = asyncio.create_task(webhook.post(texts[0]))
    await slack.has(1)
    return [first, *[asyncio.create_task(webhook.post(text)) for text in texts[1:]]]


async def test_what_comes_while_a_message_is_under_way_shares_the_next(
    slack: Slack, webhook: Webhook
) -> None:
    tasks = await under_way(slack, webhook, *map(str, range(100)))

    slack.is_answering.set()
    are_shown = await asyncio.gather(*tasks)

    first, second = slack.texts
    assert first == "0"
    assert second.splitlines() == [*map(str, range(1, 21)), "… and 79 more"]
    assert are_shown == [True] * 21 + [False] * 79


async def test_a_failed_message_fails_all_that_it_tells(slack: Slack, webhook: Webhook) -> None:
    slack.answers = [web.Response(), web.Response(status=500)]
    tasks = await under_way(slack, webhook, *map(str, range(10)))

    slack.is_answering.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[0] is True
    assert [repr(result) for result in results[1:]] == [
        "Unavailable('the webhook missed answers 500')"
    ] * 9
    assert len(slack.bodies) == 2


async def test_what_is_no_longer_wanted_is_not_posted(slack: Slack, webhook: Webhook) -> None:
    tasks = await under_way(slack, webhook, "under way", "waiting")

    await asyncio.sleep(0)  # the other is waiting now
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    slack.is_answering.set()

    assert await webhook.post("next")
    assert slack.texts == ["under way", "next"]


async def test_a_message_that_is_broken_off_counts_as_not_sent(
    slack: Slack, webhook: Webhook
) -> None:
    first, second = await under_way(slack, webhook, "1", "2")
    await asyncio.sleep(0)  # the other is waiting now
    third = asyncio.create_task(webhook.post("3"))
    slack.is_answering.set()
    await first
    slack.is_answering.clear()
    await slack.has(2)

    second.cancel()

    with pytest.raises(Unavailable, match="was broken off"):
        await third


async def test_texts_are_posted_no_faster_than_the_limit(slack: Slack, webhook: Webhook) -> None:
    clock = asyncio.get_running_loop().time
    began_at = clock()

    for number in range(15):
        await webhook.post(str(number))

    assert clock() - began_at >= 10 / 50
    assert slack.texts == [str(number) for number in range(15)]


async def test_a_flood_is_posted_in_few_messages_and_all_of_it_is_accounted_for(
    slack: Slack, webhook: Webhook
) -> None:
    in_hand = asyncio.Semaphore(100)  # what the kit hands out at a time
    clock = asyncio.get_running_loop().time
    began_at = clock()

    async def tell(number: int) -> None:
        async with in_hand:
            await webhook.post(f"missed {number}")

    await asyncio.gather(*map(tell, range(10_000)))
    took_s = clock() - began_at

    lines = [line for text in slack.texts for line in text.splitlines()]
    shown = [line for line in lines if line.startswith("missed ")]
    more = [int(found[1]) for line in lines if (found := re.fullmatch(r"… and (\d+) more", line))]
    assert len(shown) == len(set(shown))
    assert len(shown) + sum(more) == 10_000
    assert len(slack.bodies) <= 5 + took_s * 50
    assert len(slack.bodies) < 250


@pytest.mark.parametrize("host", ["a" * 64, f"chat.{'b' * 70}.example", f"{'c' * 100}.d"])
async def test_a_host_name_that_can_not_be_looked_up_is_a_webhook_that_is_down(host: str) -> None:
    async with aiohttp.ClientSession() as http:
        webhook = Webhook(
            name="missed", url=f"http://{host}/T0K3N", http=http, limiter=RateLimiter(50, burst=5)
        )

        with pytest.raises(
            Unavailable, match=r"^the webhook missed can't be reached: \w+$"
        ) as raised:
            await webhook.post("hello")

    assert "T0K3N" not in "".join(traceback.format_exception(raised.value))


async def test_the_address_is_in_no_error(webhook: Webhook) -> None:
    async def answer_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer_nonsense, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        webhook._url = f"http://127.0.0.1:{port}/s3cret"

        with pytest.raises(RelayError) as caught:
            await webhook.post("missed")

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert "can't be reached: ClientResponseError" in str(caught.value)
