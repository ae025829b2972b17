"""What notify tells a webhook over real HTTP, and what becomes of the events when it can't."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumers.kit import Consumer, Event
from consumers.kit.testing import Done, Retry, Wait, events, handle
from consumers.notify.service import NotifySettings, opened
from relay.events.timestamps import rfc3339
from tests.support.servers.slack import Slack


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    async with Slack() as slack:
        yield slack


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


Start = Callable[..., Awaitable[list[Consumer]]]


@pytest.fixture
async def start(slack: Slack, registry: CollectorRegistry) -> AsyncIterator[Start]:
    """Open the service with rules by name, each a template; return the consumers."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*templates: str, url: str = "", **settings: Any) -> list[Consumer]:
            rules = {
                f"rule-{number}": {
                    "bindings": ["*.conversation.missed"],
                    "url": url or slack.url,
                    "template": template,
                }
                for number, template in enumerate(templates or ["missed: {contact.phone}"])
            }
            found = NotifySettings(rules=rules, **settings)
            return list(await stack.enter_async_context(opened(found, registry)))

        yield start


def missed(**changes: Any) -> Event:
    """A chat that was missed just now."""
    (event,) = events("pickyassist", "05")
    return replace(event, **{"time": rfc3339(datetime.now(UTC))} | changes)


def counted(registry: CollectorRegistry, outcome: str, rule: str = "rule-0") -> float:
    labels = {"rule": rule, "outcome": outcome}
    return registry.get_sample_value("relay_notify_events_total", labels) or 0


async def test_a_missed_chat_reaches_people(
    slack: Slack, start: Start, registry: CollectorRegistry
) -> None:
    (consumer,) = await start("A chat was missed: {contact.phone} on {vendor}")

    result = await handle(consumer, missed())

    assert result == Done()
    assert (consumer.name, consumer.bindings) == ("notify-rule-0", ("*.conversation.missed",))
    assert slack.bodies == [{"text": "A chat was missed: 9194954xxxxx on pickyassist"}]
    assert counted(registry, "told") == 1


async def test_an_event_is_notified_by_every_rule_it_matches(slack: Slack, start: Start) -> None:
    consumers = await start("one", "two")

    results = [await handle(consumer, missed()) for consumer in consumers]

    assert results == [Done(), Done()]
    assert sorted(slack.texts) == ["one", "two"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_webhook_that_fails_is_waited_for(slack: Slack, start: Start, status: int) -> None:
    slack.answers = [web.Response(status=status)]
    (consumer,) = await start()

    result = await handle(consumer, missed())

    assert result == Wait(1.0, f"the webhook rule-0 answers {status}")
    assert await handle(consumer, missed()) == Done()


async def test_a_webhook_that_asks_to_wait_is_waited_for(slack: Slack, start: Start) -> None:
    slack.answers = [web.Response(status=429, headers={"Retry-After": "30"})]
    (consumer, another) = await start("one", "two")

    first, second = await handle(consumer, missed()), await handle(another, missed())

    assert first == Wait(30, "the webhook rule-0, rule-1 answers 429")
    assert isinstance(second, Wait)
    assert 25 < second.after_s <= 30
    assert slack.texts == ["one"]


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("0", 1), ("7", 7), ("100000", 240), ("soon", 1), ("-5", 1), ("1.5", 1)],
)
async def test_a_retry_after_is_believed_within_limits(
    slack: Slack, start: Start, retry_after: str, wait_s: float
) -> None:
    slack.answers = [web.Response(status=503, headers={"Retry-After": retry_after})]
    (consumer,) = await start()

    result = await handle(consumer, missed())

    assert isinstance(result, Wait)
    assert result.after_s == wait_s


async def test_a_webhook_that_does_not_answer_is_waited_for(slack: Slack, start: Start) -> None:
    slack.is_answering.clear()
    (consumer,) = await start(timeout_s=0.1)

    result = await handle(consumer, missed())

    assert result == Wait(1.0, "the webhook rule-0 did not answer in time")


async def test_a_webhook_that_cannot_be_reached_is_waited_for(
    unused_tcp_port: int, start: Start
) -> None:
    (consumer,) = await start(url=f"http://127.0.0.1:{unused_tcp_port}/s3cret")

    result = await handle(consumer, missed())

    assert isinstance(result, Wait)
    assert result.reason == "the webhook rule-0 can't be reached: ClientConnectorError"


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "invalid_payload"),
        (403, "action_prohibited"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
    ],
)
async def test_a_refused_message_is_a_failed_attempt_with_the_reason(
    slack: Slack, start: Start, status: int, word: str
) -> None:
    slack.answers = [web.Response(status=status, text=word) for _ in range(2)]
    (consumer,) = await start()

    result, last = await handle(consumer, missed()), await handle(consumer, missed(), attempt=5)

    assert result == Retry(1, 2)
    assert last.reason == f"RelayError: the webhook rule-0 answers {status} {word}"


async def test_a_body_that_is_no_word_of_slacks_is_not_repeated(slack: Slack, start: Start) -> None:
    slack.answers = [web.Response(status=404, text=f"<h1>{slack.url} is gone</h1>" * 100)]
    (consumer,) = await start()

    result = await handle(consumer, missed(), attempt=5)

    assert result.reason == "RelayError: the webhook rule-0 answers 404"


async def test_a_redirect_is_not_followed(slack: Slack, start: Start) -> None:
    slack.answers = [web.Response(status=307, headers={"Location": slack.url})]
    (consumer,) = await start()

    result = await handle(consumer, missed())

    assert result == Retry(1, 2)
    assert len(slack.bodies) == 1


async def test_an_old_event_wakes_nobody(
    slack: Slack, start: Start, registry: CollectorRegistry
) -> None:
    (consumer,) = await start(max_age_s=60)

    with capture_logs() as lines:
        result = await handle(consumer, missed(time="2026-04-06T09:16:58Z"))

    assert result == Done()
    assert slack.bodies == []
    assert counted(registry, "too_old") == 1
    assert [(line["event"], line["id"]) for line in lines] == [("too old to notify", missed().id)]


async def test_events_that_are_only_counted_in_a_message_are_counted_as_such(
    slack: Slack, start: Start, registry: CollectorRegistry
) -> None:
    (consumer,) = await start("{id}")
    assert consumer.handle_one

    await asyncio.gather(*[consumer.handle_one(missed(id=str(each))) for each in range(100)])

    (text,) = slack.texts
    assert text.endswith("\n… and 80 more")
    assert (counted(registry, "told"), counted(registry, "counted")) == (20, 80)


async def test_the_address_is_in_no_log_and_in_no_decision(slack: Slack, start: Start) -> None:
    slack.answers = [web.Response(status=status) for status in (500, 404)]
    (consumer,) = await start()

    with capture_logs() as lines:
        results = [await handle(consumer, missed()) for _ in range(3)]

    assert [type(result) for result in results] == [Wait, Retry, Done]
    assert [line["event"] for line in lines] == ["notified"]
    assert "s3cret" not in f"{lines} {results}"
