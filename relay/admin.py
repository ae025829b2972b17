"""The admin listener: probes, metrics, drift and the latest requests. Never on the public port."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.broker.publisher import ConnectionState, Publisher
from relay.errors import NotDurable, OutboxError
from relay.observability import capture as capturing
from relay.observability import probes, recent_requests
from relay.observability.capture import Capture
from relay.observability.drift_report import DriftReport
from relay.observability.last_seen import LastSeen
from relay.observability.metrics import BrokerMetrics, OutboxMetrics
from relay.observability.recent_requests import RecentPage, RecentRequests
from relay.outbox.stats import Stats, age_s


class Admin:
    """Answer `/livez`, `/readyz`, `/metrics`, `/drift` and `/recent`.

    Args:
        check_writable: raises NotDurable unless a webhook sent now would be accepted.
        publisher: knows the state of the broker connection.
        stats: returns what waits in the outbox; None where there is no outbox.
        registry: what `/metrics` shows.
        broker_metrics: their gauge of the connection's state is set at each scrape.
    """

    def __init__(
        self,
        *,
        check_writable: Callable[[], Awaitable[None]],
        publisher: Publisher,
        stats: Callable[[], Awaitable[Stats]] | None,
        registry: CollectorRegistry,
        broker_metrics: BrokerMetrics,
    ) -> None:
        self.is_closing = False
        self._check_writable = check_writable
        self._publisher = publisher
        self._stats_now = stats
        self._registry = registry
        self._broker_metrics = broker_metrics
        self._outbox_metrics = OutboxMetrics(registry)
        self._blocked_checkpoints = 0  # as far as they are counted

    def application(
        self,
        drift: Callable[[], Awaitable[DriftReport]],
        recent: RecentRequests,
        last_seen: LastSeen,
        capture: Capture,
    ) -> web.Application:
        """Return the web application to serve.

        Args:
            drift: counts what it has not counted yet, and returns what `/drift` shows.
            recent: the requests that `/recent` shows.
            last_seen: knows which sources are silent.
            capture: what `/capture` switches on and shows.
        """

        async def refresh() -> None:
            await drift()
            await self._refresh()

        async def answer_drift(_: Mapping[str, str]) -> DriftReport:
            return await drift()

        async def answer_recent(query: Mapping[str, str]) -> RecentPage:
            return await recent.page(recent_requests.read_query(query))

        async def answer_readiness() -> dict[str, object]:
            answer = await self._readiness()
            silent = last_seen.silent(time.time())
            return answer | {"silent": silent} if silent else answer

        return probes.application(
            readiness=answer_readiness,
            refresh=refresh,
            registry=self._registry,
            documents={"/drift": answer_drift, "/recent": answer_recent},
            actions={"/capture": partial(capturing.answer, capture)},
        )

    async def _readiness(self) -> dict[str, object]:
        reason = await self._not_ready()
        answer: dict[str, object] = {
            "ready": reason is None,
            "broker": {"state": self._publisher.state, "reason": self._publisher.reason},
        }
        if reason:
            answer["reason"] = reason
        if stats := await self._stats():
            answer["outbox"] = {
                "messages": stats.depth,
                "bytes": stats.disk_bytes,
                "used_bytes": stats.used_bytes,
                "max_bytes": stats.max_bytes,
                "oldest_age_s": round(age_s(stats), 3),
                "parked": {
                    "count": stats.parked.messages,
                    "reason": stats.parked.latest_reason,
                    "at": stats.parked.latest_at,
                },
            }
        return answer

    async def _not_ready(self) -> str | None:
        if self.is_closing:
            return "shutting down"
        try:
            await self._check_writable()
        except NotDurable as error:
            return str(error)
        return None

    async def _stats(self) -> Stats | None:
        """Return what is in the outbox; None if there is no outbox, or it can't be read now."""
        with contextlib.suppress(OutboxError):
            return await self._stats_now() if self._stats_now else None
        return None

    async def _refresh(self) -> None:
        for state in ConnectionState:
            self._broker_metrics.state.labels(state).set(state == self._publisher.state)
        if stats := await self._stats():
            self._outbox_metrics.depth.set(stats.depth)
            self._outbox_metrics.parked.set(stats.parked.messages)
            self._outbox_metrics.disk_bytes.set(stats.disk_bytes)
            self._outbox_metrics.log_bytes.set(stats.log_bytes)
            self._outbox_metrics.used_bytes.set(stats.used_bytes)
            self._outbox_metrics.max_bytes.set(stats.max_bytes)
            self._outbox_metrics.oldest_age_s.set(age_s(stats, time.time()))
            self._count_blocked_checkpoints(stats.blocked_checkpoints)

    def _count_blocked_checkpoints(self, total: int) -> None:
        self._outbox_metrics.blocked_checkpoints.inc(total - self._blocked_checkpoints)
        self._blocked_checkpoints = total
