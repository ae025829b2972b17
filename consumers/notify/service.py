"""Notify people of selected events, through Slack-compatible incoming webhooks.

Each rule is a consumer of its own with the queue `notify-<rule>`. An event is done once a message
for it was accepted. Events that come faster than `max_per_minute` share a message, which shows up
to twenty of them and counts the rest. Events older than `max_age_s` trigger no notification.

The service waits for a webhook that is down. One that refuses (it was removed, its channel was
archived) needs a person, so its events are retried and then become dead letters.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import structlog
from prometheus_client import CollectorRegistry, Counter
from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator
from yarl import URL

from consumers.kit import Consumer, ConsumerSettings, Event
from consumers.kit.settings import Bindings, ConsumerAdminSettings
from consumers.notify.template import Template, parse
from consumers.notify.webhook import Webhook, open_webhooks
from relay.settings_file import Section, resolve_secrets
from relay.settings_values import Port

NAME = "notify"

_log = structlog.get_logger("consumers")


def _template(value: object) -> Template:
    if isinstance(value, str):
        return parse(value)
    raise ValueError("it must be a text")


def _resolved_url(url: str) -> str:
    """Return the URL, which may be in the environment or in a file."""
    (value,) = resolve_secrets([url])
    try:
        parsed = URL(value)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("it must be https://... or http://...")
    return value


class Rule(Section):
    """Which events trigger a notification, where to, and its text."""

    bindings: Bindings
    url: Annotated[str, AfterValidator(_resolved_url)] = Field(repr=False)
    template: Annotated[Template, PlainValidator(_template)]


class NotifyAdminSettings(ConsumerAdminSettings):
    """The listener for probes and metrics."""

    port: Port = 9093


class NotifySettings(ConsumerSettings):
    """The section `[consumers.notify]`. `concurrency` limits the events in a message."""

    concurrency: int = Field(default=100, ge=1, le=1000)
    max_per_minute: int = Field(default=20, ge=1, le=60)  # Slack allows one a second
    max_age_s: int = Field(default=3600, ge=0)
    timeout_s: float = Field(default=10, gt=0, le=60, validate_default=True)
    rules: dict[str, Rule] = Field(min_length=1)
    admin: NotifyAdminSettings = NotifyAdminSettings()

    @field_validator("rules")
    @classmethod
    def _check_rules(cls, rules: dict[str, Rule]) -> dict[str, Rule]:
        for name, rule in rules.items():
            Consumer(_service(name), bindings=rule.bindings)
        return rules

    @field_validator("timeout_s")
    @classmethod
    def _check_timeout(cls, timeout_s: float, info: ValidationInfo) -> float:
        per_minute, handler_timeout_s = map(info.data.get, ("max_per_minute", "handler_timeout_s"))
        if per_minute and handler_timeout_s:
            longest_s = 2 * timeout_s + 60 / per_minute
            if longest_s > handler_timeout_s:
                raise ValueError(
                    f"with max_per_minute = {per_minute} an event may wait {longest_s:g} s, for "
                    "the message under way and then its own; raise handler_timeout_s to that"
                )
        return timeout_s


class NotifyMetrics:
    """What became of the events."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "relay_notify_events",
            "Events told, only counted in a message, or too old to be told.",
            ["rule", "outcome"],
            registry=registry,
        )


@contextlib.asynccontextmanager
async def opened(
    settings: NotifySettings, registry: CollectorRegistry
) -> AsyncIterator[Sequence[Consumer]]:
    """Yield a consumer per rule. Rules with the same URL share its rate.

    Args:
        settings: the service's section.
        registry: what `/metrics` shows.
    """
    names: dict[str, str] = {}
    for name, rule in settings.rules.items():
        names[rule.url] = f"{names[rule.url]}, {name}" if rule.url in names else name
    metrics = NotifyMetrics(registry)
    async with open_webhooks(
        names, max_per_minute=settings.max_per_minute, timeout_s=settings.timeout_s
    ) as webhooks:
        yield [
            consumer_of(name, rule, webhooks[rule.url], settings.max_age_s, metrics)
            for name, rule in settings.rules.items()
        ]


def consumer_of(
    name: str, rule: Rule, webhook: Webhook, max_age_s: int, metrics: NotifyMetrics
) -> Consumer:
    """Return the consumer of a rule."""
    consumer = Consumer(_service(name), bindings=rule.bindings)

    @consumer.handler
    async def notify(event: Event) -> None:
        if is_too_old(event, datetime.now(UTC), max_age_s):
            _log.info("too old to notify", consumer=consumer.name, id=event.id, time=event.time)
            metrics.events.labels(name, "too_old").inc()
            return
        is_shown = await webhook.post(rule.template.render(event))
        metrics.events.labels(name, "told" if is_shown else "counted").inc()

    return consumer


def is_too_old(event: Event, now: datetime, max_age_s: int) -> bool:
    """Return whether an event occurred more than max_age_s ago; with 0, none is too old."""
    if not max_age_s or not event.occurred_at:
        return False
    return (now - event.occurred_at).total_seconds() > max_age_s


def _service(rule: str) -> str:
    return f"notify-{rule}"
