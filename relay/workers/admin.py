"""The admin listener of a receiver with several workers: each is asked, all are summed up."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.observability import probes
from relay.observability.metrics import WorkerMetrics
from relay.process import listeners
from relay.workers.metrics_sum import MetricsSum
from relay.workers.worker_process import WorkerProcess

_ANSWER_LIMIT_S = 2.0
_BROKER_STATES = ("disconnected", "blocked", "connected")  # the worst first

_Answer = dict[str, Any]


class SupervisorAdmin:
    """Answer `/livez`, `/readyz` and `/metrics` for all workers.

    Args:
        count: how many workers there should be.
        processes: those that were started, the latest run of each.
        is_closing: asked whether the receiver stops.
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
            readiness=self._readiness, refresh=self._refresh, registry=self._registry
        )
        return listeners.listening(web.AppRunner(application, access_log=None), host, port, "admin")

    async def _readiness(self) -> _Answer:
        answers = await asyncio.gather(*map(self._readiness_of, range(self._count)))
        return _together(answers, is_closing=self._is_closing())

    async def _readiness_of(self, number: int) -> _Answer:
        process = self._processes.get(number)
        if process is None or not process.is_up:
            return _unready(number, "is not running")
        body = await _ask(process, "/readyz")
        if body is None:
            return _unready(number, "does not answer")
        return {"worker": number, **orjson.loads(body)}

    async def _refresh(self) -> None:
        async with self._refreshing:  # else an older answer might replace a newer one
            up = await asyncio.gather(*map(self._note, range(self._count)))
        self._metrics.up.set(sum(up))

    async def _note(self, number: int) -> bool:
        process = self._processes.get(number)
        body = await _ask(process, "/metrics") if process and process.is_up else None
        if process is None or body is None:
            self._sum.leave_out(number)
            return False
        self._sum.note(number, process.pid, body.decode())
        return True


async def _ask(process: WorkerProcess, path: str) -> bytes | None:
    """Return what a worker answers, None if it does not, or not in time."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(process.worker.admin_socket)),
                timeout=aiohttp.ClientTimeout(total=_ANSWER_LIMIT_S),
            ) as http,
            http.get(f"http://worker{path}") as response,
        ):
            return await response.read()
    return None


def _unready(number: int, reason: str) -> _Answer:
    return {"worker": number, "ready": False, "reason": reason}


def _together(answers: list[_Answer], *, is_closing: bool) -> _Answer:
    """Say of all workers what each says of itself: ready if all are, for any may be sent to."""
    unready = [it for it in answers if not it["ready"]]
    together: _Answer = {"ready": not (unready or is_closing), "broker": _worst_broker(answers)}
    if is_closing:
        together["reason"] = "shutting down"
    elif unready:
        together["reason"] = "; ".join(
            [f"worker {it['worker']}: {it.get('reason', 'not ready')}" for it in unready]
        )
    if outboxes := [it["outbox"] for it in answers if "outbox" in it]:
        together["outbox"] = {
            "messages": sum(it["messages"] for it in outboxes),
            "bytes": sum(it["bytes"] for it in outboxes),
            "max_bytes": sum(it["max_bytes"] for it in outboxes),
            "oldest_age_s": max(it["oldest_age_s"] for it in outboxes),
        }
    together["workers"] = answers
    return together


def _worst_broker(answers: list[_Answer]) -> _Answer:
    brokers: list[_Answer] = [it["broker"] for it in answers if "broker" in it]
    if not brokers:
        return {"state": _BROKER_STATES[0], "reason": "no worker answers"}
    return min(brokers, key=lambda it: _BROKER_STATES.index(it["state"]))
