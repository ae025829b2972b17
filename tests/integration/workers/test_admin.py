"""What the supervisor's admin port says of a worker whose own fails."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from deploy.local.private_server import free_port
from relay.workers.admin import SupervisorAdmin
from relay.workers.worker import Worker
from relay.workers.worker_process import WorkerProcess
from tests.support.eventually import eventually

READY_UNTIL_STOPPED = "print('ready', flush=True); import signal; signal.pause()"


@asynccontextmanager
async def failing_worker(directory: Path) -> AsyncIterator[WorkerProcess]:
    """Yield a process that is up, and whose admin socket answers 500 to all."""

    async def fail(_: web.Request) -> web.Response:
        return web.Response(status=500, text="500 Internal Server Error")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fail)
    runner = web.AppRunner(application)
    await runner.setup()
    worker = Worker(number=0, count=1, port=0, admin_socket=directory / "0")
    process = await WorkerProcess.start([sys.executable, "-c", READY_UNTIL_STOPPED], worker)
    watched = asyncio.create_task(process.watch(asyncio.Event()))
    try:
        await web.UnixSite(runner, str(worker.admin_socket)).start()
        await eventually(lambda: process.is_up)
        yield process
    finally:
        process.stop()
        await watched
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/readyz", 503, "worker 0: does not answer"),
        ("/metrics", 200, "relay_workers 0.0"),
        ("/drift", 200, "{"),
        ("/recent", 200, "{"),
    ],
)
async def test_a_worker_that_fails_to_answer_counts_as_one_that_does_not(
    tmp_path: Path, path: str, status: int, says: str
) -> None:
    port = free_port()
    async with failing_worker(tmp_path) as process:
        admin = SupervisorAdmin(count=1, processes={0: process}, is_closing=lambda: False)
        async with (
            admin.listening("127.0.0.1", port),
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}{path}") as response,
        ):
            assert response.status == status
            assert says in await response.text()
