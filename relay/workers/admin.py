"""The admin listener of a supervisor: it asks each worker, and answers for all of them.

`/readyz` is ready if all workers are. `/metrics`, `/drift` and `/recent` aggregate them: see
`metrics_sum`, `drift_report` and `recent_requests`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

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
        process = self._processes.get(number)
        if process is None or not process.is_up:
            return _unready(number, "is not running")
        body = await _get(process, "/readyz")
        if body is None:
            return _unready(number, "does not answer")
        return {"worker": number, **orjson.loads(body)}

    async def _drift(self, _: Mapping[str, str]) -> DriftReport:
        up = [process for process in self._processes.values() if process.is_up]
        answers = await asyncio.gather(*[_get(process, "/drift") for process in up])
        return drift_report.merged(orjson.loads(answer) for answer in answers if answer)

    async def _recent(self, query: Mapping[str, str]) -> RecentPage:
        wanted = recent_requests.read_query(query)
        cursors = recent_requests.cursors_of(wanted.after, self._count)
        pages = [
            self._recent_of(number, {**query, "after": cursor})
            for number, cursor in enumerate(cursors)
        ]
        return recent_requests.merged(await asyncio.gather(*pages), wanted)

    async def _recent_of(self, number: int, query: Mapping[str, str]) -> RecentPage | None:
        process = self._processes.get(number)
        body = await _get(process, "/recent", query) if process and process.is_up else None
        return cast("RecentPage", orjson.loads(body)) if body else None

    async def _capture(self, method: str, query: Mapping[str, str], document: object) -> object:
        """Pass it on to all workers; what one refuses all do."""
        after = query.get("after", "")
        if method == "POST":
            capture.read_order(document)
        asked = [
            self._capture_of(number, method, {"after": cursor} if cursor else {}, document)
            for number, cursor in enumerate(recent_requests.cursors_of(after, self._count))
        ]
        pages = await asyncio.gather(*asked)
        if not any(pages):
            raise Refused("no worker took it: none answers, or no such source is configured")
        return capture.merged(pages, after)

    async def _capture_of(
        self, number: int, method: str, query: Mapping[str, str], document: object
    ) -> object:
        process = self._processes.get(number)
        if not (process and process.is_up):
            return None
        body = await _get(process, "/capture", query, method, document)
        page = orjson.loads(body) if body else {}
        return page if "requests" in page else None

    async def _refresh(self) -> None:
        async with self._refreshing:  # else an older answer might replace a newer one
            up = await asyncio.gather(*map(self._scrape, range(self._count)))
        self._metrics.up.set(sum(up))

    async def _scrape(self, number: int) -> bool:
        """Update the sum with a worker's metrics. Return whether the worker answered."""
        process = self._processes.get(number)
        body = await _get(process, "/metrics") if process and process.is_up else None
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
    """Return a worker's answer, or None if there is none in time."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(process.worker.admin_socket)),
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            ) as http,
            http.request(method, f"http://worker{path}", params=query, json=document) as response,
        ):
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
