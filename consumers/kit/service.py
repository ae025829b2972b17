"""A process of one or more consumers: its parts, and the order in which they stop."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.calling import Caller, caller_of
from consumers.kit.consuming.handler_pool import HOLD_LIMIT_S, HandlerPool, Handling
from consumers.kit.consuming.inbox import Intake
from consumers.kit.consuming.subscription import EventBroker, Subscription
from consumers.kit.consuming.traced import TracedCaller
from consumers.kit.errors import Unavailable
from consumers.kit.metrics import ConsumerMetrics
from consumers.kit.queues import topology
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from consumers.kit.settings import ConsumerSettings, SectionT, SharedSettings
from relay.broker.publisher import BrokerOptions, Publisher
from relay.confirm_sink import ConfirmSink
from relay.errors import SettingsError
from relay.events.topology import Topology
from relay.observability import probes
from relay.observability.metrics import BrokerMetrics, ProcessMetrics
from relay.process import internal_errors, listeners, systemd, tasks

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

Opened = Callable[[SectionT, CollectorRegistry], AbstractAsyncContextManager[Sequence[Consumer]]]
"""Opens what a service needs from its settings, and yields its consumers. Metrics of its own go
into the registry."""

log = structlog.get_logger("consumers")


async def run_service(
    name: str, shared: SharedSettings, settings: SectionT, opened: Opened[SectionT]
) -> None:
    """Run a service until SIGTERM or SIGINT.

    Raises:
        RelayError: it can't start: its settings, the admin port, or what it opens. Or an internal
            error stopped it.
    """
    registry = CollectorRegistry()
    async with opened(settings, registry) as consumers, contextlib.AsyncExitStack() as stack:
        service = Service(name, shared, settings, registry)
        for consumer in consumers:
            await service.add(consumer, stack)
        stop = tasks.stop_signal()
        with internal_errors.stopping(stop, ProcessMetrics(registry).internal_errors.inc):
            await service.run(stop)


class Service:
    """All parts of one process, and their order of shutdown.

    Args:
        name: of its section.
        shared: what it has in common with the relay.
        settings: its section.
        registry: what `/metrics` shows.
        hold_limit_s: how long a message may wait in hand.
    """

    def __init__(
        self,
        name: str,
        shared: SharedSettings,
        settings: ConsumerSettings,
        registry: CollectorRegistry,
        *,
        hold_limit_s: float = HOLD_LIMIT_S,
    ) -> None:
        self._name = name
        self._shared = shared
        self._settings = settings
        self._registry = registry
        self._hold_limit_s = hold_limit_s
        self._metrics = ConsumerMetrics(registry)
        self.is_closing = False
        self.subscriptions: list[Subscription] = []
        broker = shared.broker
        self._tracing = _tracing(name) if shared.tracing.enabled else None
        self._confirm_sink = ConfirmSink(
            max_in_flight=broker.max_in_flight, confirm_timeout_s=broker.confirm_timeout_s
        )
        # A connection of its own: an alarm stops the broker from reading one that publishes, and
        # acknowledgements must not wait behind that.
        self._publisher = Publisher(
            BrokerOptions(
                urls=broker.urls,
                declare_topology=False,
                heartbeat_s=broker.heartbeat_s,
                confirm_timeout_s=broker.confirm_timeout_s,
            ),
            exchange_of=lambda message: topology.exchange_of(message.routing_key),
            topology=Topology(),
            metrics=BrokerMetrics(registry),
        )

    async def add(self, consumer: Consumer, stack: contextlib.AsyncExitStack) -> None:
        """Prepare a consumer.

        Args:
            consumer: it has a handler.
            stack: closes the consumer's `seen` store.

        Raises:
            SettingsError: its `seen` store can't be used, or it has no handler.
        """
        broker, settings = self._shared.broker, self._settings
        try:
            seen = await self._open_seen(consumer, stack)
            caller = self._caller_of(consumer, seen)
        except (ValueError, Unavailable) as error:
            raise SettingsError([f"consumers.{self._name}: {error}"]) from error
        handling = Handling(
            caller=caller,
            seen=seen if consumer.handle_one else None,
            concurrency=settings.concurrency,
            retry_delays_s=settings.retry_delays_s,
            metrics=self._metrics.of(consumer.name),
            hold_limit_s=self._hold_limit_s,
        )
        queues = topology.topology(
            consumer.name,
            retry_delays_s=settings.retry_delays_s,
            dead_max_length=settings.dead_max_length,
            is_single_active=settings.single_active,
        )
        self.subscriptions.append(
            Subscription(
                consumer,
                new_pool=lambda restore: HandlerPool(
                    consumer.name, handling, confirm_sink=self._confirm_sink, restore=restore
                ),
                broker=EventBroker(
                    urls=broker.urls,
                    exchange=settings.exchange or broker.exchange,
                    declare_topology=broker.declare_topology,
                    heartbeat_s=broker.heartbeat_s,
                ),
                queues=queues,
                intake=Intake(
                    prefetch=settings.max_in_hand(consumer.batch_limit),
                    is_single_active=settings.single_active,
                ),
            )
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until stop is set or a part fails; then shut down in order."""
        application = probes.application(
            readiness=self.readiness, refresh=self._refresh, registry=self._registry
        )
        admin, address = web.AppRunner(application, access_log=None), self._settings.admin
        async with contextlib.AsyncExitStack() as stack:
            begin = stack.enter_async_context
            await begin(listeners.listening(admin, address.host, address.port, "admin"))
            work = [("publisher", self._publish())]
            work += [(each.name, each.run()) for each in self.subscriptions]
            parts = [await begin(tasks.task(name, part)) for name, part in work]
            log.info("started", service=self._name)
            async with systemd.notifying():
                await tasks.first(stop.wait(), *parts)
            log.info("stopping")
            self.is_closing = True
            grace_s = self._settings.shutdown_grace_s
            await asyncio.gather(*[each.finish(grace_s) for each in self.subscriptions])
            if self._tracing:
                await self._tracing.close()
            log.info("stopped")

    async def _publish(self) -> None:
        await self._publisher.run(self._confirm_sink.forward)

    def _caller_of(self, consumer: Consumer, seen: SeenStore | None) -> Caller:
        caller = caller_of(consumer, seen=seen, timeout_s=self._settings.handler_timeout_s)
        if self._tracing:
            return TracedCaller(caller, consumer=consumer.name, tracing=self._tracing)
        return caller

    async def _open_seen(
        self, consumer: Consumer, stack: contextlib.AsyncExitStack
    ) -> SeenStore | None:
        settings = self._settings
        if not settings.seen or consumer.handle_batch:
            return None
        try:
            database = SeenDatabase.at(settings.seen, schema=consumer.schema)
        except ValueError as error:
            raise SettingsError([f"consumers.{self._name}.seen: {error}."]) from error
        seen = SeenStore(database, service=consumer.name, keep_s=settings.seen_for_s)
        stack.push_async_callback(seen.close)
        try:
            await seen.open()
        except Unavailable as error:
            if not database.is_server:
                raise
            log.warning("seen store unavailable", service=consumer.name, reason=str(error))
        return seen

    async def readiness(self) -> dict[str, object]:
        """Return what `/readyz` answers."""
        is_consuming = all(subscription.is_consuming for subscription in self.subscriptions)
        answer: dict[str, object] = {
            "ready": is_consuming and not self.is_closing,
            "consumers": {each.name: _described(each) for each in self.subscriptions},
        }
        if self.is_closing:
            answer["reason"] = "shutting down"
        elif not is_consuming:
            answer["reason"] = "a queue is not consumed"
        return answer

    async def _refresh(self) -> None:
        for subscription in self.subscriptions:
            metrics = self._metrics.of(subscription.name)
            metrics.in_hand.set(subscription.in_hand)
            metrics.is_consuming.set(subscription.is_consuming)
            metrics.is_waiting.set(subscription.waiting_for is not None)


def _tracing(service: str) -> "Tracing":
    from relay.observability.tracing import exporting  # noqa: PLC0415  an extra, and slow to import

    return exporting(service)


def _described(subscription: Subscription) -> dict[str, object]:
    described: dict[str, object] = {
        "consuming": subscription.is_consuming,
        "in_hand": subscription.in_hand,
    }
    if subscription.reason:
        described["reason"] = subscription.reason
    if subscription.waiting_for:
        described["waiting"] = subscription.waiting_for
    return described
