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

from deploy.local.node import free_port
from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario
from tests.faults.supervisor import LIMIT_S, Supervisor
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


async def _add(stage: Stage, consumer: Consumer) -> None:
    """Start a consumer before the first event, so that it gets them all."""
    stage.consumer = consumer
    stage.extra_queues.append(consumer.queue)
    consumer.supervisor.start()
    stage.on_exit(consumer.supervisor.stop)
    await eventually(consumer.is_ready, LIMIT_S)


async def _archive(stage: Stage) -> None:
    directory = stage.directory / "archive"
    database = directory / "archive.db"

    def ids() -> list[str]:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
            return [event_id for (event_id,) in db.execute("SELECT id FROM archive")]

    queue = f"{stage.exchange}-archive"
    consumer = Consumer(
        directory,
        urls=stage.broker_urls,
        exchange=stage.exchange,
        module="consumers.archive",
        section="archive",
        queue=queue,
        settings={"database": f"sqlite:{database}", "queue": queue},
        ids=ids,
    )
    await _add(stage, consumer)


async def _hanging(stage: Stage) -> None:
    directory = stage.directory / _HANGING
    queue = f"{stage.exchange}-{_HANGING}"

    def ids() -> list[str]:
        # Called again for a copy, as any plain handler.
        return list(dict.fromkeys((directory / "handled.txt").read_text().split()))

    consumer = Consumer(
        directory,
        urls=stage.broker_urls,
        exchange=stage.exchange,
        module="tests.support.services.hanging",
        section=queue,
        queue=queue,
        settings={"handler_timeout_s": _STUCK_AFTER_S, "retry_delays_s": [0.2, 1], "seen": ""},
        ids=ids,
    )
    await _add(stage, consumer)


async def _is_exact(stage: Stage) -> list[str]:
    """Return the ids that the consumer has too often, too many of, or not at all."""

    def has_all() -> bool:
        return set(stage.consumer.ids()) >= stage.delivered_ids

    with contextlib.suppress(AssertionError):
        await eventually(has_all, stage.size.settle_s)
    ids = await asyncio.to_thread(stage.consumer.ids)
    twice = [it for it in ids if ids.count(it) > 1] if len(ids) != len(set(ids)) else []
    return sorted({*twice, *stage.delivered_ids.symmetric_difference(ids)})


async def _kill(stage: Stage) -> None:
    await stage.acknowledges(stage.random.randint(1, int(stage.size.rate)))
    await stage.consumer.kill()


async def _restart_broker(stage: Stage) -> None:
    async with stage.fault("broker restarted"):
        await asyncio.to_thread(stage.broker.stop)
        await asyncio.to_thread(stage.broker.start)
        await stage.delivers()


async def _go_on(stage: Stage) -> None:
    await stage.hold()


def _scenario(
    name: str,
    strike: Callable[[Stage], Awaitable[None]],
    prepare: Callable[[Stage], Awaitable[None]],
) -> Scenario:
    return Scenario(
        name=name, strike=strike, prepare=prepare, aftermath=_is_exact, spares_senders=True
    )


SCENARIOS = [
    _scenario("consumer-killed", _kill, _archive),
    _scenario("consumer-broker-restarted", _restart_broker, _archive),
    _scenario("consumer-stuck", _go_on, _hanging),
]
