"""Several workers on one port: started, restarted, signalled and stopped together.

The supervisor serves no webhooks. It reserves the port, passes signals on, restarts workers that
died, and answers on the admin port for all of them. If it is killed, the workers shut down in
order by themselves.
"""

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import structlog

from relay.errors import RelayError
from relay.process import backoff, internal_errors, systemd, tasks
from relay.process.bound_sockets import Hosts
from relay.workers import shared_port
from relay.workers.worker import Worker
from relay.workers.worker_process import WorkerProcess

_FIRST_RESTART_S, _LAST_RESTART_S = 0.2, 30.0
_STABLE_S = 60.0
"""A worker that ran for so long did not die of how it was started: its delays begin anew."""

log = structlog.get_logger("relay")


class Supervisor:
    """Run workers until a signal stops them.

    Args:
        command: starts a worker; `Worker.arguments` is appended.
        count: how many workers.
        address: hosts and port where they listen; port 0 for any that is free.
        admin_address: host and port where this process listens.
        stop_limit_s: how long a worker may take to stop before it is killed.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        count: int,
        address: tuple[Hosts, int],
        admin_address: tuple[str, int],
        stop_limit_s: float,
    ) -> None:
        self._command = command
        self._count = count
        self._address = address
        self._admin_address = admin_address
        self._stop_limit_s = stop_limit_s
        self._processes: dict[int, WorkerProcess] = {}
        self._ready = [asyncio.Event() for _ in range(count)]
        self._were_ready = False
        self._closing = asyncio.Event()
        self._failures: list[str] = []

    async def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT; SIGHUP is passed on to all.

        Raises:
            RelayError: an address is taken, a worker failed before all were ready, one did not exit
                with status 0, or an internal error stopped the supervisor. No worker is running.
        """
        self._closing = tasks.stop_signal()
        with internal_errors.stopping(self._closing):
            await self._run()

    async def _run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        with (
            shared_port.reserved(*self._address, "ingress") as port,
            tempfile.TemporaryDirectory(prefix="relay-") as directory,
        ):
            sockets = Path(directory)
            workers = [
                Worker(number=n, count=self._count, port=port, admin_socket=sockets / str(n))
                for n in range(self._count)
            ]
            async with self._kept_running(workers) as keepers, self._admin_listening():
                await self._serve(keepers)
                log.info("stopping")
                await self._stop(keepers)
        if self._failures:
            raise RelayError(" ".join(self._failures))
        log.info("stopped")

    async def _serve(self, keepers: list[asyncio.Task[None]]) -> None:
        async with tasks.task("ready", self._all_ready()) as ready:
            await tasks.first(self._closing.wait(), ready, *keepers)
        if not self._closing.is_set():
            self._were_ready = True
            log.info("ready", workers=self._count)
            async with systemd.notifying():
                await tasks.first(self._closing.wait(), *keepers)

    async def _all_ready(self) -> None:
        for ready in self._ready:
            await ready.wait()

    @contextlib.asynccontextmanager
    async def _kept_running(self, workers: list[Worker]) -> AsyncIterator[list[asyncio.Task[None]]]:
        """Start all workers, and restart those that die until the context closes."""
        starting = [WorkerProcess.start(self._command, worker) for worker in workers]
        started = await asyncio.gather(*starting, return_exceptions=True)
        keepers = [
            asyncio.create_task(self._keep(process), name=f"worker {process.worker.number}")
            for process in started
            if isinstance(process, WorkerProcess)
        ]
        try:
            for process in started:
                if isinstance(process, BaseException):
                    raise process
            yield keepers
        finally:
            await self._stop(keepers)

    def _admin_listening(self) -> AbstractAsyncContextManager[None]:
        """Answer on the admin port."""
        from relay.workers.admin import SupervisorAdmin  # noqa: PLC0415  slow; workers start meanwhile

        admin = SupervisorAdmin(
            count=self._count,
            processes=self._processes,
            is_closing=self._closing.is_set,
        )
        return admin.listening(*self._admin_address)

    async def _keep(self, process: WorkerProcess) -> None:
        """Restart a worker each time it dies, until all stop.

        Raises:
            RelayError: it died before all were ready for the first time.
        """
        worker, attempt = process.worker, 0
        while True:
            self._processes[worker.number] = process
            log.info("worker started", worker=worker.number, pid=process.pid)
            if self._closing.is_set():
                process.stop()
            started_at = _now()
            status = await process.watch(self._ready[worker.number])
            if self._closing.is_set():
                self._note_exit(process, status)
                return
            if not self._were_ready:
                raise process.error(status)
            log.error(
                "worker died",
                worker=worker.number,
                pid=process.pid,
                status=status,
                problems=list(process.problems),
            )
            attempt = 1 if _now() - started_at > _STABLE_S else attempt + 1
            if not (restarted := await self._restart(worker, attempt)):
                return
            process = restarted

    async def _restart(self, worker: Worker, attempt: int) -> WorkerProcess | None:
        """Start a worker that died, with growing delays. Return None once all stop."""
        while not await self._closes_within(
            backoff.delay_s(attempt, first_s=_FIRST_RESTART_S, last_s=_LAST_RESTART_S)
        ):
            try:
                return await WorkerProcess.start(self._command, worker)
            except RelayError as error:  # no memory or no process is left, for now
                failure = error
            log.error("worker not started", worker=worker.number, reason=str(failure))
            attempt += 1
        return None

    def _note_exit(self, process: WorkerProcess, status: int) -> None:
        # One that was just starting does not handle SIGTERM yet, and had nothing to finish.
        if status and (process.is_ready or status != -signal.SIGTERM):
            self._failures.append(str(process.error(status)))

    async def _closes_within(self, delay_s: float) -> bool:
        return await tasks.is_set_within(self._closing, delay_s)

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        """Let all workers shut down in order, and kill those that don't. May be called twice."""
        self._closing.set()
        for process in self._processes.values():
            process.stop()
        if not keepers:
            return
        _, late = await asyncio.wait(keepers, timeout=self._stop_limit_s)
        if late:
            log.error("workers killed", after_s=self._stop_limit_s)
            for process in self._processes.values():
                process.kill()
            await asyncio.wait(late)
        for keeper in keepers:
            keeper.exception()  # the first one was raised already; the others say the same

    def _reload(self) -> None:
        for process in self._processes.values():
            process.reload()


def _now() -> float:
    return asyncio.get_running_loop().time()
