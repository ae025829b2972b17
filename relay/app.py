"""The relay as one process: its components, and the order in which they start and stop.

    open the outbox
    connect to RabbitMQ and publish     forever, also while RabbitMQ is down
    answer probes
    drain orphaned outboxes
    listen for webhooks                 "ready"
        ...                             until SIGTERM, or until a component fails
    stop listening, be not ready        "stopping"
    answer the requests under way       at most `ingress.shutdown_grace_s`
    leave orphaned outboxes
    wait for the broker's confirms      at most `ingress.shutdown_grace_s`
    stop answering probes, disconnect   "stopped"
    close the processing subprocess, then the outbox, then tracing

What the settings say is read in configured.py; here are the components that it is passed to.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.admin import Admin
from relay.broker.publisher import BrokerOptions, Publisher
from relay.configured import exchange_chooser, source_exchanges, sources_of, topology_of
from relay.confirm_sink import ConfirmSink
from relay.errors import SettingsError
from relay.forwarder import Forwarder
from relay.ingress.drift import Drift
from relay.ingress.handler import Ingress, IngressOptions
from relay.ingress.http_server import Server
from relay.ingress.limits import Limits
from relay.ingress.outcomes import Outcomes
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.observability.capture import Capture
from relay.observability.metrics import (
    BrokerMetrics,
    DriftMetrics,
    IngressMetrics,
    ProcessMetrics,
)
from relay.observability.recent_requests import RecentRequests
from relay.outbox import layout
from relay.outbox.limits import OutboxLimits
from relay.outbox.orphans import OrphanDrain
from relay.outbox.outbox import Outbox
from relay.process import internal_errors, listeners, systemd, tasks
from relay.settings import Settings, load
from relay.workers import worker as worker_pipes
from relay.workers.worker import Worker

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

_LAST_REQUESTS_S = 1.0
"""How long a connection stays open at shutdown, for a request that may be on its way."""
_DRAIN_POLL_S = 0.02
_OBJECTS_PER_COLLECTION = 20_000
_FIXED = ("ingress", "admin", "broker", "history", "outbox", "log", "tracing")
"""Sections that a reload leaves as they were."""

log = structlog.get_logger("relay")


async def serve(settings: Settings, config: Path | None, worker: Worker | None = None) -> None:
    """Run the relay until SIGTERM or SIGINT; SIGHUP reads sources and secrets again.

    Args:
        settings: as loaded at start.
        config: the file they came from, for SIGHUP.
        worker: which one of several processes this is; None when it is alone.

    Raises:
        RelayError: the outbox or a port can't be used, or an internal error stopped the relay.
    """
    async with _Relay(settings, worker) as relay:
        stop = tasks.stop_signal()
        if worker:
            worker_pipes.stop_with_supervisor(worker, stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: relay.reload(config))
        with internal_errors.stopping(stop, relay.metrics.internal_errors.inc):
            await relay.run(stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Storage:
    """What makes events durable, and what hands them to the publisher."""

    sink: Outbox | ConfirmSink
    forwarder: Forwarder | ConfirmSink
    outbox: Outbox | None = None
    orphan_drain: OrphanDrain | None = None


class _Relay:
    """All components of one process."""

    def __init__(self, settings: Settings, worker: Worker | None) -> None:
        self._settings = settings
        self._worker = worker
        registry = CollectorRegistry()
        self.metrics = ProcessMetrics(registry)
        broker_metrics = BrokerMetrics(registry)
        self._tracing = _tracing() if settings.tracing.enabled else None
        self._publisher = _publisher(settings, broker_metrics, self._tracing)
        is_confirming = settings.ingress.ack_after == "confirm"
        self._storage = _broker_alone(settings) if is_confirming else _outbox(settings, worker)
        self._subprocess = ProcessingSubprocess()
        self._drift = Drift(DriftMetrics(registry))
        self._recent = RecentRequests()
        self._capture = Capture()
        self._ingress_metrics = IngressMetrics(registry)
        self._ingress = Ingress(
            sink=self._storage.sink,
            sources=sources_of(settings),
            options=IngressOptions(
                body_limit_bytes=settings.ingress.body_limit_bytes,
                trusted_proxies=settings.ingress.trusted_proxies,
            ),
            subprocess=self._subprocess,
            outcomes=Outcomes(
                self._ingress_metrics,
                self._tracing,
                self._drift,
                self._recent,
                self._capture,
            ),
        )
        orphan_drain = self._storage.orphan_drain
        self._admin = Admin(
            check_writable=self._storage.sink.check_writable,
            publisher=self._publisher,
            stats=orphan_drain.stats if orphan_drain else None,
            registry=registry,
            broker_metrics=broker_metrics,
        )

    async def __aenter__(self) -> Self:
        if self._storage.outbox:
            await self._storage.outbox.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._subprocess.close()
        if self._storage.outbox:
            await self._storage.outbox.close()
        if self._tracing:
            await self._tracing.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until stop is set or a component fails; then shut down in order."""
        settings = self._settings.ingress
        server = Server(
            self._ingress,
            Limits(
                body_bytes=settings.body_limit_bytes,
                bodies_bytes=settings.bodies_limit_bytes,
                connections=listeners.allow_connections(settings.max_connections),
                head_timeout_s=settings.read_timeout_s,
                body_timeout_s=settings.read_timeout_s,
                keepalive_s=settings.keepalive_s,
                head_bytes=settings.header_limit_bytes,
                head_fields=settings.header_limit_count,
            ),
        )
        public = server.runner(settings.shutdown_grace_s)
        forward: Callable[[Any], Coroutine[Any, Any, None]] = self._storage.forwarder.forward
        async with (
            tasks.task("publisher", self._publisher.run(forward)) as publishing,
            tasks.task("drift", self._drift.run()) as drifting,
            self._answering_probes(),
        ):
            async with self._draining_orphans() as draining, self._listening(public):
                _spare_collector()
                log.info("ready", sources=sorted(self._ingress.sources))
                async with self._notifying():
                    await tasks.first(stop.wait(), publishing, drifting, *draining)
                log.info("stopping")
                await self._close_ingress(public, server)
            await self._drain(settings.shutdown_grace_s)
            log.info("stopped", drained=self._storage.forwarder.is_drained)

    @contextlib.asynccontextmanager
    async def _notifying(self) -> AsyncIterator[None]:
        """Tell the supervisor, or systemd, that this process serves."""
        if self._worker:
            worker_pipes.report_ready()
            yield
            return
        async with systemd.notifying():
            yield

    def _answering_probes(self) -> AbstractAsyncContextManager[None]:
        """Listen for probes. A worker answers its supervisor alone, on a Unix socket."""
        runner = web.AppRunner(
            self._admin.application(
                self._drift.report,
                self._recent,
                self._ingress_metrics.last_seen,
                self._capture,
            ),
            access_log=None,
        )
        if self._worker:
            return listeners.listening_locally(runner, self._worker.admin_socket, "admin")
        admin = self._settings.admin
        return listeners.listening(runner, admin.host, admin.port, "admin")

    def _listening(self, public: web.ServerRunner) -> AbstractAsyncContextManager[None]:
        ingress, worker = self._settings.ingress, self._worker
        port = worker.port if worker else ingress.port
        return listeners.listening(public, ingress.host, port, "ingress", is_shared=bool(worker))

    @contextlib.asynccontextmanager
    async def _draining_orphans(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        drain = self._storage.orphan_drain
        if not drain:
            yield []
            return
        async with tasks.task("orphan drain", drain.run()) as draining:
            yield [draining]

    async def _close_ingress(self, public: web.ServerRunner, server: Server) -> None:
        """Stop listening, and answer what is on its way over open connections."""
        self._ingress.is_closing = self._admin.is_closing = True
        for site in public.sites:
            await site.stop()
        grace_s = min(_LAST_REQUESTS_S, self._settings.ingress.shutdown_grace_s)
        await _until(lambda: not server.connections, grace_s)

    async def _drain(self, grace_s: float) -> None:
        """Let the broker confirm the rest; what it does not confirm waits for the next start."""
        forwarder, publisher = self._storage.forwarder, self._publisher
        await _until(lambda: forwarder.is_drained or not publisher.is_connected, grace_s)

    def reload(self, config: Path | None) -> None:
        """Read sources and secrets again. A bad file is reported and changes nothing."""
        try:
            settings = load(config)
            self._require_same_exchanges(settings)
            self._ingress.sources = sources_of(settings)
        except SettingsError as error:
            log.error("reload failed", problems=error.problems)  # noqa: TRY400  no traceback
            return
        log.info("reloaded", sources=sorted(self._ingress.sources))
        changed = [
            name for name in _FIXED if getattr(settings, name) != getattr(self._settings, name)
        ]
        if changed:
            log.warning("restart needed", sections=changed)

    def _require_same_exchanges(self, settings: Settings) -> None:
        """Raise SettingsError if the exchange of a source changes: it is declared at start."""
        before, now = source_exchanges(self._settings), source_exchanges(settings)
        changed = [name for name in settings.sources if before.get(name) != now.get(name)]
        if changed:
            raise SettingsError(
                [f"sources.{name}.exchange: it changes at a restart only." for name in changed]
            )


def _publisher(settings: Settings, metrics: BrokerMetrics, tracing: "Tracing | None") -> Publisher:
    broker = settings.broker
    options = BrokerOptions(
        urls=broker.urls,
        declare_topology=broker.declare_topology,
        heartbeat_s=broker.heartbeat_s,
        confirm_timeout_s=broker.confirm_timeout_s,
    )
    return Publisher(
        options,
        exchange_of=exchange_chooser(settings),
        topology=topology_of(settings),
        metrics=metrics,
        tracing=tracing,
    )


def _outbox(settings: Settings, worker: Worker | None) -> _Storage:
    """Return storage on this receiver's disk: `ack_after = "outbox"`."""
    root = settings.outbox.directory
    number, count = (worker.number, worker.count) if worker else (0, 1)
    committed = asyncio.Event()
    outbox = Outbox(
        directory=layout.directory_of(root, number),
        max_bytes=layout.share_bytes(settings.outbox.max_bytes, count),
        committed=committed,
        sets_corrupt_aside=settings.outbox.on_corrupt == "set-aside",
        limits=OutboxLimits(write_timeout_s=settings.outbox.write_timeout_s),
    )
    forwarder = Forwarder(
        outbox=outbox,
        committed=committed,
        exchange_of=exchange_chooser(settings),
        max_in_flight=settings.broker.max_in_flight,
    )
    orphan_drain = OrphanDrain(root=root, worker=number, count=count, outbox=outbox)
    return _Storage(sink=outbox, forwarder=forwarder, outbox=outbox, orphan_drain=orphan_drain)


def _broker_alone(settings: Settings) -> _Storage:
    """Return storage in RabbitMQ alone: `ack_after = "confirm"`."""
    sink = ConfirmSink(
        max_in_flight=settings.broker.max_in_flight,
        confirm_timeout_s=settings.broker.confirm_timeout_s,
    )
    return _Storage(sink=sink, forwarder=sink)


def _tracing() -> "Tracing":
    from relay.observability.tracing import exporting  # noqa: PLC0415  an extra, and slow to import

    return exporting("relay")


def _spare_collector() -> None:
    """Run the garbage collector rarely, and never over what lives as long as the process.

    A delivery leaves no cycles behind. With thousands of events in memory, the default of one run
    per 700 new objects takes a twentieth of all CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


async def _until(is_done: Callable[[], bool], limit_s: float) -> None:
    """Poll until is_done, for at most limit_s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not is_done():  # noqa: ASYNC110  only at shutdown
                await asyncio.sleep(_DRAIN_POLL_S)
