"""Several workers on one port: started, kept running, signalled and stopped together.

The supervisor serves no webhook. It holds the port, passes signals on, starts a worker that died
anew, and answers on the admin port for all of them. Should it be killed, the workers stop in order
by themselves.
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
from relay.workers import shared_port
from relay.workers.worker import Worker
from relay.workers.worker_process import WorkerProcess

_FIRST_RESTART_S, _LAST_RESTART_S = 0.2, 30.0
_STEADY_S = 60.0
"""A worker that ran for so long has not died of how it was started."""

log = structlog.get_logger("relay")


class Supervisor:
    """Run workers until told to stop.

    Args:
        command: what starts a worker, before the arguments that say which one.
        count: how many.
        host, port: where they listen; port 0 for any that is free.
        admin_host, admin_port: where this process listens.
        stop_limit_s: how long a worker may take to stop before it is killed.
    """

    def __init__(  # noqa: PLR0913  two listeners
        self,
        *,
        command: Sequence[str],
        count: int,
        host: str,
        port: int,
        admin_host: str,
        admin_port: int,
        stop_limit_s: float,
    ) -> None:
        self._command = command
        self._count = count
        self._address = host, port
        self._admin_address = admin_host, admin_port
        self._stop_limit_s = stop_limit_s
        self._processes: dict[int, WorkerProcess] = {}
        self._ready = [asyncio.Event() for _ in range(count)]
        self._is_started = False
        self._closing = asyncio.Event()
        self._failures: list[str] = []

    async def run(self) -> None:
        """Run the workers until SIGTERM or SIGINT; SIGHUP is passed on to all.

        Raises:
            RelayError: an address is taken, a worker failed at the first start, one did not end
                well, or an internal error stopped the supervisor. No worker runs any more.
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
                Worker(number=it, count=self._count, port=port, admin_socket=sockets / str(it))
                for it in range(self._count)
            ]
            async with self._kept(workers) as keepers, self._answering():
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
            self._is_started = True
            log.info("ready", workers=self._count)
            async with systemd.notifying():
                await tasks.first(self._closing.wait(), *keepers)

    async def _all_ready(self) -> None:
        for it in self._ready:
            await it.wait()

    @contextlib.asynccontextmanager
    async def _kept(self, workers: list[Worker]) -> AsyncIterator[list[asyncio.Task[None]]]:
        """Start all workers, and keep them running until the context closes."""
        starting = [WorkerProcess.start(self._command, it) for it in workers]
        keepers = [
            asyncio.create_task(self._keep(it), name=f"worker {it.worker.number}")
            for it in await asyncio.gather(*starting)
        ]
        try:
            yield keepers
        finally:
            await self._stop(keepers)

    def _answering(self) -> AbstractAsyncContextManager[None]:
        """Answer on the admin port."""
        from relay.workers.admin import SupervisorAdmin  # noqa: PLC0415  once the workers start

        admin = SupervisorAdmin(
            count=self._count,
            processes=self._processes,
            is_closing=self._closing.is_set,
        )
        return admin.listening(*self._admin_address)

    async def _keep(self, running: WorkerProcess) -> None:
        """Start a worker anew each time it has died, until all stop.

        Raises:
            RelayError: it died before all were ready for the first time.
        """
        worker, attempt = running.worker, 0
        while True:
            self._processes[worker.number] = running
            log.info("worker started", worker=worker.number, pid=running.pid)
            if self._closing.is_set():
                running.stop()
            began = _now()
            status = await running.watch(self._ready[worker.number])
            if self._closing.is_set():
                self._note_end(running, status)
                return
            if not self._is_started:
                raise running.error(status)
            log.error(
                "worker died",
                worker=worker.number,
                pid=running.pid,
                status=status,
                problems=list(running.problems),
            )
            attempt = 1 if _now() - began > _STEADY_S else attempt + 1
            if not (again := await self._start_anew(worker, attempt)):
                return
            running = again

    async def _start_anew(self, worker: Worker, attempt: int) -> WorkerProcess | None:
        """Start a worker that died, the later the more often it has; None once all stop."""
        while not await self._closes_within(
            backoff.delay_s(attempt, first_s=_FIRST_RESTART_S, last_s=_LAST_RESTART_S)
        ):
            try:
                return await WorkerProcess.start(self._command, worker)
            except OSError as error:  # no memory or no process is left, for now
                log.error("worker not started", worker=worker.number, reason=str(error))  # noqa: TRY400  says it all
                attempt += 1
        return None

    def _note_end(self, ended: WorkerProcess, status: int) -> None:
        # One that was just starting handles no signal yet, and had nothing to finish.
        if status and (ended.is_ready or status != -signal.SIGTERM):
            self._failures.append(str(ended.error(status)))

    async def _closes_within(self, delay_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._closing.wait()
        return self._closing.is_set()

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        """Let all workers stop in order, and kill those that don't. Does nothing the next time."""
        self._closing.set()
        for it in self._processes.values():
            it.stop()
        _, late = await asyncio.wait(keepers, timeout=self._stop_limit_s)
        if late:
            log.error("workers killed", after_s=self._stop_limit_s)
            for it in self._processes.values():
                it.kill()
            await asyncio.wait(late)
        for keeper in keepers:
            keeper.exception()  # the first one was raised already; the others say the same

    def _reload(self) -> None:
        for it in self._processes.values():
            it.reload()


def _now() -> float:
    return asyncio.get_running_loop().time()
