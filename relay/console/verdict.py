"""One sentence that says how things are; each of its parts leads to where one sees more. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relay.console.watching.polling import Polled, silent_in, waiting_in

Tone = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the verdict: its text, where it leads, and how bad it is."""

    text: str
    href: str
    tone: Tone


def verdict(
    receivers: Sequence[Polled],
    services: Sequence[Polled],
    queues: Mapping[str, int | None],
    broker_error: str | None,
) -> list[Part]:
    """Return the verdict.

    Args:
        receivers: all that there should be.
        services: likewise.
        queues: how many messages wait for a person, by queue.
        broker_error: why the console has no connection to RabbitMQ.
    """
    ready = [receiver for receiver in receivers if receiver.is_ready]
    return [
        _accepting(receivers, ready),
        Part(
            text=f"{len(ready)} of {len(receivers)} receivers ready.",
            href="/system#receivers",
            tone="good" if receivers and len(ready) == len(receivers) else "bad",
        ),
        *_services(services),
        *_sources(receivers),
        _broker(ready, broker_error),
        _waiting(receivers),
        _for_a_person(receivers, queues),
    ]


def _accepting(receivers: Sequence[Polled], ready: Sequence[Polled]) -> Part:
    if not receivers:
        text = "No receiver was found."
        return Part(text=text, href="/system#receivers", tone="bad")
    text = "Accepting." if ready else "Not accepting: no receiver is ready."
    return Part(text=text, href="/system#receivers", tone="good" if ready else "bad")


def _services(services: Sequence[Polled]) -> Iterator[Part]:
    asked = [service for service in services if service.url]
    ready = [service for service in asked if service.is_ready]
    if asked:
        yield Part(
            text=f"{len(ready)} of {len(asked)} services ready.",
            href="/system#services",
            tone="good" if len(ready) == len(asked) else "bad",
        )


def _sources(receivers: Sequence[Polled]) -> Iterator[Part]:
    if count := len(silent_in(receivers)):
        text = "1 source is silent." if count == 1 else f"{count} sources are silent."
        yield Part(text=text, href="/#sources", tone="warn")


def _broker(ready: Sequence[Polled], error: str | None) -> Part:
    apart = [each for each in ready if each.broker.get("state") != "connected"]
    if apart:
        text = f"{len(apart)} of {len(ready)} receivers are not connected to RabbitMQ."
        return Part(text=text, href="/system#broker", tone="bad")
    if error:
        text = "RabbitMQ can't be reached from here."
        return Part(text=text, href="/system#broker", tone="warn")
    return Part(text="RabbitMQ connected.", href="/system#broker", tone="good")


def _waiting(receivers: Sequence[Polled]) -> Part:
    count, age_s = waiting_in(receivers) or (0, 0)
    is_late = count > 0 and age_s > 60  # noqa: PLR2004  a minute is no burst any more
    age = f", the oldest for {age_s:,.0f} s" if is_late else ""
    tone: Tone = "warn" if is_late else "good"
    return Part(text=f"{count:,} waiting{age}.", href="/system#receivers", tone=tone)


def _for_a_person(receivers: Sequence[Polled], queues: Mapping[str, int | None]) -> Part:
    queued = [count for count in queues.values() if count]
    parked = sum(int(each.parked.get("count") or 0) for each in receivers)
    if not queued and not parked:
        if queues and all(count is None for count in queues.values()):
            text = "What needs a person is not known."
            return Part(text=text, href="/system#queues", tone="warn")
        return Part(text="Nothing needs a person.", href="/system#queues", tone="good")
    amounts = []
    if queued:
        amounts.append(f"{_counted(sum(queued), 'message')} in {_counted(len(queued), 'queue')}")
    if parked:
        amounts.append(_counted(parked, "parked message"))
    verb = "needs" if sum(queued) + parked == 1 else "need"
    text = f"{' and '.join(amounts)} {verb} a person."
    return Part(text=text, href="/triage" if queued else "/system#receivers", tone="warn")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
