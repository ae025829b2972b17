"""Consumers fail beside a relay that is well: killed, cut off, or stuck in a handler.

What a consumer has at the end must be exactly what came out of the broker for the recorder.
"""

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from deploy.local.private_server import free_port
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.harness.supervisor import LIMIT_S, Supervisor
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import eventually

_STUCK_AFTER_S = 1.0
_HANGING = "hanging"


class Consumer:
    """A consumer service under a supervisor, with a queue of its own.

    Args:
        directory: for its settings, log and output.
        urls: of RabbitMQ.
        exchange: of the events.
        module: the service.
        section: its settings, `consumers.<section>`.
        queue: its own.
        settings: in that section.
        ids: returns the events it has dealt with, by id, each as often as it is there.
    """

    def __init__(
        self,
        directory: Path,
        *,
        urls: list[str],
        exchange: str,
        module: str,
        section: str,
        queue: str,
        settings: dict[str, object],
        ids: Callable[[], list[str]],
    ) -> None:
        self._port = free_port()
        self.queue = queue
        self.ids = ids
        directory.mkdir()
        config = directory / "relay.toml"
        lines = [
            *("[broker]", f"urls = {json.dumps(urls)}", f'exchange = "{exchange}"'),
            *(f"[consumers.{section}]", f"admin.port = {self._port}"),
            *[f"{name} = {json.dumps(value)}" for name, value in settings.items()],
        ]
        config.write_text("\n".join(lines))
        self.supervisor = Supervisor(
            (sys.executable, "-m", module, "--config", str(config)),
            directory / "consumer.log",
            {"SERVICE_NAME": queue, "SERVICE_OUTPUT": str(directory / "handled.txt")},
        )

    async def is_ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{self._port}/readyz") as response,
            ):
                return response.status == 200
        return False

    async def kill(self) -> None:
        await self.supervisor.end(signal.SIGKILL)
        await eventually(self.is_ready, LIMIT_S)


async def _add(harness: FaultHarness, consumer: Consumer) -> None:
    """Start a consumer before the first event, so that it gets them all."""
    harness.consumer = consumer
    harness.extra_queues.append(consumer.queue)
    consumer.supervisor.start()
    harness.on_exit(consumer.supervisor.stop)
    await eventually(consumer.is_ready, LIMIT_S)


async def _archive(harness: FaultHarness) -> None:
    directory = harness.directory / "archive"
    database = directory / "archive.db"

    def ids() -> list[str]:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
            return [event_id for (event_id,) in db.execute("SELECT id FROM archive")]

    queue = f"{harness.exchange}-archive"
    consumer = Consumer(
        directory,
        urls=harness.broker_urls,
        exchange=harness.exchange,
        module="consumers.archive",
        section="archive",
        queue=queue,
        settings={"database": f"sqlite:{database}", "queue": queue},
        ids=ids,
    )
    await _add(harness, consumer)


async def _hanging(harness: FaultHarness) -> None:
    directory = harness.directory / _HANGING
    queue = f"{harness.exchange}-{_HANGING}"

    def ids() -> list[str]:
        # Called again for a copy, as any plain handler.
        return list(dict.fromkeys((directory / "handled.txt").read_text().split()))

    consumer = Consumer(
        directory,
        urls=harness.broker_urls,
        exchange=harness.exchange,
        module="tests.support.services.hanging",
        section=queue,
        queue=queue,
        settings={"handler_timeout_s": _STUCK_AFTER_S, "retry_delays_s": [0.2, 1], "seen": ""},
        ids=ids,
    )
    await _add(harness, consumer)


async def _is_exact(harness: FaultHarness) -> list[str]:
    """Return the ids that the consumer has too often, too many of, or not at all."""

    def has_all() -> bool:
        return set(harness.consumer.ids()) >= harness.delivered_ids

    with contextlib.suppress(AssertionError):
        await eventually(has_all, harness.size.settle_s)
    ids = await asyncio.to_thread(harness.consumer.ids)
    twice = (
        [event_id for event_id in ids if ids.count(event_id) > 1]
        if len(ids) != len(set(ids))
        else []
    )
    return sorted({*twice, *harness.delivered_ids.symmetric_difference(ids)})


async def _kill(harness: FaultHarness) -> None:
    await harness.acknowledges(harness.random.randint(1, int(harness.size.rate)))
    await harness.consumer.kill()


async def _restart_broker(harness: FaultHarness) -> None:
    async with harness.fault("broker restarted"):
        await asyncio.to_thread(harness.broker.stop)
        await asyncio.to_thread(harness.broker.start)
        await harness.delivers()


async def _go_on(harness: FaultHarness) -> None:
    await harness.hold()


def _scenario(
    name: str,
    strike: Callable[[FaultHarness], Awaitable[None]],
    prepare: Callable[[FaultHarness], Awaitable[None]],
) -> Scenario:
    return Scenario(
        name=name, strike=strike, prepare=prepare, aftermath=_is_exact, must_accept_all=True
    )


SCENARIOS = [
    _scenario("consumer-killed", _kill, _archive),
    _scenario("consumer-broker-restarted", _restart_broker, _archive),
    _scenario("consumer-stuck", _go_on, _hanging),
]
