"""The admin listener of a supervisor: it asks each worker, and answers for all of them.

`/readyz` is ready if all workers are. `/metrics`, `/drift` and `/recent` aggregate them: see
`metrics_sum`, `drift_report` and `recent_requests`.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.errors import Refused
from relay.observability import capture, drift_report, last_seen, probes, recent_requests
from relay.observability.drift_report import DriftReport
from relay.observability.metrics import WorkerMetrics
from relay.observability.recent_requests import RecentPage
from relay.process import listeners
from relay.workers.metrics_sum import MetricsSum
from relay.workers.worker_process import WorkerProcess

_REQUEST_TIMEOUT_S = 2.0
_BROKER_STATES = ("disconnected", "blocked", "connected")  # worst first

_NO_QUERY: Mapping[str, str] = {}

_Readiness = dict[str, Any]


class SupervisorAdmin:
    """Answer `/livez`, `/readyz`, `/metrics`, `/drift` and `/recent` for all workers.

    Args:
        count: how many workers there should be.
        processes: the latest process of each worker that was started.
        is_closing: returns whether the receiver is shutting down.
    """

    def __init__(
        self,
        *,
        count: int,
        processes: Mapping[int, WorkerProcess],
        is_closing: Callable[[], bool],
    ) -> None:
        self._count = count
        self._processes = processes
        self._is_closing = is_closing
        self._sum = MetricsSum()
        self._registry = CollectorRegistry()
        self._registry.register(self._sum)
        self._metrics = WorkerMetrics(self._registry)
        self._refreshing = asyncio.Lock()

    def listening(self, host: str, port: int) -> AbstractAsyncContextManager[None]:
        """Answer on a port while the context is open; see listeners."""
        application = probes.application(
            readiness=self._readiness,
            refresh=self._refresh,
            registry=self._registry,
            documents={"/drift": self._drift, "/recent": self._recent},
            actions={"/capture": self._capture},
        )
        return listeners.listening(web.AppRunner(application, access_log=None), host, port, "admin")

    async def _readiness(self) -> _Readiness:
        workers = await asyncio.gather(*map(self._readiness_of, range(self._count)))
        return _aggregate(workers, is_closing=self._is_closing())

    async def _readiness_of(self, number: int) -> _Readiness:
        process = self._running(number)
        if process is None:
            return _unready(number, "is not running")
        body = await _get(process, "/readyz")
        if body is None:
            return _unready(number, "does not answer")
        return {"worker": number, **orjson.loads(body)}

    async def _drift(self, _: Mapping[str, str]) -> DriftReport:
        reports = await self._documents("/drift", [_NO_QUERY] * self._count)
        return drift_report.merged(filter(None, reports))

    async def _recent(self, query: Mapping[str, str]) -> RecentPage:
        wanted = recent_requests.read_query(query)
        pages = await self._documents("/recent", self._queries(query))
        return recent_requests.merged(pages, wanted)

    async def _capture(self, method: str, query: Mapping[str, str], document: object) -> object:
        """Pass it on to all workers; what one refuses all do."""
        if method == "POST":
            capture.read_order(document)
        answers = await self._documents("/capture", self._queries(query), method, document)
        pages = [page if page and "requests" in page else None for page in answers]
        if not any(pages):
            raise Refused("no worker took it: none answers, or no such source is configured")
        return capture.merged(pages, query.get("after", ""))

    def _queries(self, query: Mapping[str, str]) -> list[Mapping[str, str]]:
        """Return what each worker is asked: the caller's query, with the worker's own cursor."""
        cursors = recent_requests.cursors_of(query.get("after", ""), self._count)
        return [{**query, "after": cursor} for cursor in cursors]

    async def _documents(
        self,
        path: str,
        queries: Iterable[Mapping[str, str]],
        method: str = "GET",
        document: object = None,
    ) -> list[Any]:
        """Ask each worker in order, and return their JSON; None for one that gives none."""

        async def ask(number: int, query: Mapping[str, str]) -> Any:
            process = self._running(number)
            body = await _get(process, path, query, method, document) if process else None
            return orjson.loads(body) if body else None

        return await asyncio.gather(*itertools.starmap(ask, enumerate(queries)))

    def _running(self, number: int) -> WorkerProcess | None:
        process = self._processes.get(number)
        return process if process and process.is_up else None

    async def _refresh(self) -> None:
        async with self._refreshing:  # else an older answer might replace a newer one
            up = await asyncio.gather(*map(self._scrape, range(self._count)))
        self._metrics.up.set(sum(up))

    async def _scrape(self, number: int) -> bool:
        """Update the sum with a worker's metrics. Return whether the worker answered."""
        process = self._running(number)
        body = await _get(process, "/metrics") if process else None
        if process is None or body is None:
            self._sum.drop_gauges(number)
            return False
        self._sum.update(number, process.pid, body.decode())
        return True


async def _get(
    process: WorkerProcess,
    path: str,
    query: Mapping[str, str] = _NO_QUERY,
    method: str = "GET",
    document: object = None,
) -> bytes | None:
    """Return a worker's answer, or None if it gives none in time, or fails to."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(process.worker.admin_socket)),
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            ) as http,
            http.request(method, f"http://worker{path}", params=query, json=document) as response,
        ):
            if response.status != HTTPStatus.INTERNAL_SERVER_ERROR:  # the worker's log says why
                return await response.read()
    return None


def _unready(number: int, reason: str) -> _Readiness:
    return {"worker": number, "ready": False, "reason": reason}


def _aggregate(workers: list[_Readiness], *, is_closing: bool) -> _Readiness:
    """Return the readiness of the receiver: the kernel may give a connection to any worker."""
    unready = [worker for worker in workers if not worker["ready"]]
    result: _Readiness = {"ready": not (unready or is_closing), "broker": _worst_broker(workers)}
    if is_closing:
        result["reason"] = "shutting down"
    elif unready:
        result["reason"] = "; ".join(
            [
                f"worker {worker['worker']}: {worker.get('reason', 'not ready')}"
                for worker in unready
            ]
        )
    if outboxes := [worker["outbox"] for worker in workers if "outbox" in worker]:
        result["outbox"] = {
            "messages": sum(outbox["messages"] for outbox in outboxes),
            "bytes": sum(outbox["bytes"] for outbox in outboxes),
            "used_bytes": sum(outbox["used_bytes"] for outbox in outboxes),
            "max_bytes": sum(outbox["max_bytes"] for outbox in outboxes),
            "oldest_age_s": max(outbox["oldest_age_s"] for outbox in outboxes),
            "parked": _total_parked([outbox["parked"] for outbox in outboxes]),
        }
    answering = [worker for worker in workers if "broker" in worker]
    if silent := last_seen.silent_everywhere([worker.get("silent", {}) for worker in answering]):
        result["silent"] = silent
    result["workers"] = workers
    return result


def _total_parked(parts: list[_Readiness]) -> _Readiness:
    latest = max(parts, key=lambda parked: parked["at"] or 0)
    return latest | {"count": sum(parked["count"] for parked in parts)}


def _worst_broker(workers: list[_Readiness]) -> _Readiness:
    brokers: list[_Readiness] = [worker["broker"] for worker in workers if "broker" in worker]
    if not brokers:
        return {"state": _BROKER_STATES[0], "reason": "no worker answers"}
    return min(brokers, key=lambda broker: _BROKER_STATES.index(broker["state"]))
