"""The relay put together: settings in, running parts out, and the order in which they stop.

The only module that turns Settings into components.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay import vendors
from relay.admin import Admin
from relay.broker.publisher import Publisher
from relay.confirm_sink import ConfirmSink
from relay.errors import SettingsError
from relay.events import topology
from relay.events.message import Message, Origin
from relay.forwarder import Forwarder
from relay.ingress.handler import Ingress
from relay.ingress.http_server import Server
from relay.ingress.processing import Source
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.observability.metrics import BrokerMetrics, IngressMetrics, OutboxMetrics
from relay.outbox import layout
from relay.outbox.orphans import OrphanDrain
from relay.outbox.outbox import Outbox
from relay.process import systemd, tasks
from relay.settings import Settings, SourceSettings, load
from relay.settings_file import resolve_secrets
from relay.vendors.kit.authentication import Secrets
from relay.workers import worker as worker_pipes
from relay.workers.worker import Worker

if TYPE_CHECKING:
    from relay.observability.tracing import Tracing

_LAST_REQUESTS_S = 1.0
"""At shutdown, how long connections stay open for the request that may be on its way."""
_DRAIN_POLL_S = 0.02
_OBJECTS_PER_COLLECTION = 20_000
# Sections that SIGHUP can't change.
_FIXED = ("ingress", "admin", "broker", "history", "outbox", "log", "tracing")

log = structlog.get_logger("relay")


def sources_of(settings: Settings) -> dict[str, Source]:
    """Return the configured endpoints, secrets resolved.

    Raises:
        SettingsError: there is none, or a secret can't be read any more.
    """
    if not settings.sources:
        hint = "" if settings.file else " No relay.toml was found here, and no --config given."
        raise SettingsError(
            [f"sources: there is none; add a section such as [sources.swiftsell].{hint}"]
        )
    known = vendors.discover()
    found, problems = {}, []
    for name, it in settings.sources.items():
        try:
            found[name] = _source(name, it, known)
        except ValueError as error:
            problems.append(f"sources.{name}.secrets: {error}.")
    if problems:
        raise SettingsError(problems)
    return found


def _source(name: str, it: SourceSettings, known: dict[str, vendors.Vendor]) -> Source:
    return Source(
        origin=Origin(vendor=it.vendor, source=name),
        vendor=known[it.vendor],
        secrets=Secrets(resolve_secrets(it.secrets)),
        echo=it.echo or "json",
        allow_from=tuple(it.allow_from),
    )


def topology_of(settings: Settings) -> topology.Topology:
    """Return what the relay needs on the broker."""
    broker, history = settings.broker, settings.history
    bounds = topology.History(max_age_s=history.max_age_s, max_bytes=history.max_bytes)
    return topology.topology(
        broker.exchange,
        unrouted_max_length=broker.unrouted_max_length,
        quarantine_max_length=broker.quarantine_max_length,
        history=bounds if history.enabled else None,
    )


def publish_exchange(settings: Settings) -> str:
    """Return the exchange that events are published to; the history's lies in front."""
    name = settings.broker.exchange
    return topology.history_exchange(name) if settings.history.enabled else name


def _exchange_of(settings: Settings) -> Callable[[Message], str]:
    events = publish_exchange(settings)
    quarantine = topology.quarantine_exchange(settings.broker.exchange)
    return lambda message: quarantine if message.is_quarantined else events


async def serve(settings: Settings, config: Path | None, worker: Worker | None = None) -> None:
    """Run the relay until SIGTERM or SIGINT; SIGHUP reads sources and secrets again.

    Args:
        settings: as loaded at start.
        config: the file they came from, for SIGHUP.
        worker: which one of several processes this is; None when it is alone.

    Raises:
        RelayError: the outbox or a port can't be used.
    """
    async with _Relay(settings, worker) as relay:
        stop = tasks.stop_signal()
        if worker:
            worker_pipes.stop_with_supervisor(worker, stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: relay.reload(config))
        await relay.run(stop)


class _Relay:
    """All components of one process, and their order of shutdown."""

    def __init__(self, settings: Settings, worker: Worker | None) -> None:
        self._settings = settings
        self._worker = worker
        self._registry = registry = CollectorRegistry()
        self._broker_metrics = BrokerMetrics(registry)
        self._tracing = _tracing() if settings.tracing.enabled else None
        broker = settings.broker
        self._publisher = Publisher(
            urls=broker.urls,
            exchange_of=_exchange_of(settings),
            wanted=topology_of(settings),
            declare_topology=broker.declare_topology,
            heartbeat_s=broker.heartbeat_s,
            confirm_timeout_s=broker.confirm_timeout_s,
            metrics=self._broker_metrics,
            tracing=self._tracing,
        )
        self._outbox: Outbox | None = None
        self._takeover: OrphanDrain | None = None
        self._forwarder: Forwarder | ConfirmSink
        if settings.ingress.ack_after == "outbox":
            committed = asyncio.Event()
            root, most = settings.outbox.directory, settings.outbox.max_bytes
            number, count = (worker.number, worker.count) if worker else (0, 1)
            self._outbox = Outbox(
                directory=layout.directory_of(root, number),
                max_bytes=layout.share_bytes(most, count),
                committed=committed,
                sets_corrupt_aside=settings.outbox.on_corrupt == "set-aside",
            )
            self._takeover = OrphanDrain(root=root, worker=number, count=count, outbox=self._outbox)
            self._sink: Outbox | ConfirmSink = self._outbox
            self._forwarder = Forwarder(
                outbox=self._outbox,
                committed=committed,
                max_in_flight=broker.max_in_flight,
            )
        else:
            self._sink = self._forwarder = ConfirmSink(
                max_in_flight=broker.max_in_flight,
                confirm_timeout_s=broker.confirm_timeout_s,
            )
        self._aside = ProcessingSubprocess()
        self._ingress = Ingress(
            sink=self._sink,
            sources=sources_of(settings),
            body_limit_bytes=settings.ingress.body_limit_bytes,
            bodies_limit_bytes=settings.ingress.bodies_limit_bytes,
            read_timeout_s=settings.ingress.read_timeout_s,
            trusted_proxies=settings.ingress.trusted_proxies,
            aside=self._aside,
            metrics=IngressMetrics(registry),
            tracing=self._tracing,
        )
        self._admin = Admin(
            check_writable=self._sink.check_writable,
            publisher=self._publisher,
            stats=self._takeover.stats if self._takeover else None,
            registry=registry,
            broker_metrics=self._broker_metrics,
            outbox_metrics=OutboxMetrics(registry),
        )

    async def __aenter__(self) -> Self:
        if self._outbox:
            await self._outbox.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._aside.close()
        if self._outbox:
            await self._outbox.close()
        if self._tracing:
            await self._tracing.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until stop is set or a part dies; then shut down in order."""
        settings = self._settings
        server = Server(
            self._ingress,
            body_limit_bytes=settings.ingress.body_limit_bytes,
            max_connections=tasks.allow_connections(settings.ingress.max_connections),
            head_timeout_s=settings.ingress.read_timeout_s,
        )
        public = web.ServerRunner(server, shutdown_timeout=settings.ingress.shutdown_grace_s)
        forward: Callable[[Any], Coroutine[Any, Any, None]] = self._forwarder.forward
        async with (
            tasks.task("publisher", self._publisher.run(forward)) as publishing,
            self._answering(),
        ):
            async with self._taking_over() as taking_over, self._listening(public):
                _spare_collector()
                log.info("ready", sources=sorted(self._ingress.sources))
                async with self._told_ready():
                    await tasks.first(stop.wait(), publishing, *taking_over)
                log.info("stopping")
                await self._close_ingress(public, server)
            await self._drain(settings.ingress.shutdown_grace_s)
            log.info("stopped", drained=self._forwarder.is_drained)

    @contextlib.asynccontextmanager
    async def _told_ready(self) -> AsyncIterator[None]:
        """Tell whoever started this process that it serves: the supervisor, or systemd."""
        if self._worker:
            worker_pipes.tell_ready()
            yield
            return
        async with systemd.notifying():
            yield

    def _answering(self) -> AbstractAsyncContextManager[None]:
        """Answer probes: a worker answers its supervisor."""
        runner = web.AppRunner(self._admin.application(), access_log=None)
        if self._worker:
            return tasks.listening_locally(runner, self._worker.admin_socket, "admin")
        admin = self._settings.admin
        return tasks.listening(runner, admin.host, admin.port, "admin")

    def _listening(self, public: web.ServerRunner) -> AbstractAsyncContextManager[None]:
        ingress, worker = self._settings.ingress, self._worker
        port = worker.port if worker else ingress.port
        return tasks.listening(public, ingress.host, port, "ingress", is_shared=bool(worker))

    @contextlib.asynccontextmanager
    async def _taking_over(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        if not self._takeover:
            yield []
            return
        async with tasks.task("takeover", self._takeover.run()) as running:
            yield [running]

    async def _close_ingress(self, public: web.ServerRunner, server: Server) -> None:
        """Stop listening, but answer what is on its way over connections that are open."""
        self._ingress.is_closing = self._admin.is_closing = True
        for site in public.sites:
            await site.stop()
        grace_s = min(_LAST_REQUESTS_S, self._settings.ingress.shutdown_grace_s)
        await _until(lambda: not server.connections, grace_s)

    async def _drain(self, grace_s: float) -> None:
        """Give the broker a while to confirm the rest; what is left waits for the next start."""
        await _until(
            lambda: self._forwarder.is_drained or not self._publisher.is_connected, grace_s
        )

    def reload(self, config: Path | None) -> None:
        """Read sources and secrets again. A bad file is reported and changes nothing."""
        try:
            settings = load(config)
            self._ingress.sources = sources_of(settings)
        except SettingsError as error:
            log.error("reload failed", problems=error.problems)  # noqa: TRY400  no traceback
            return
        log.info("reloaded", sources=sorted(self._ingress.sources))
        changed = [it for it in _FIXED if getattr(settings, it) != getattr(self._settings, it)]
        if changed:
            log.warning("restart needed", sections=changed)


def _tracing() -> "Tracing":
    from relay.observability.tracing import exporting  # noqa: PLC0415  an extra, and slow to import

    return exporting("relay")


def _spare_collector() -> None:
    """Let the garbage collector look seldom, and never at what lives as long as the process.

    A delivery leaves no cycles behind, and with thousands of events in hand the default of a look
    per 700 new objects is a twentieth of all CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


async def _until(is_done: Callable[[], bool], limit_s: float) -> None:
    """Wait for something nobody announces, looking often, at most limit_s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not is_done():  # noqa: ASYNC110  at shutdown only; an event would cost always
                await asyncio.sleep(_DRAIN_POLL_S)
