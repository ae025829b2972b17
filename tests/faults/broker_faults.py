"""RabbitMQ fails, in each way that one node can."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import aio_pika

from deploy.local.node import BrokerError
from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario
from tests.support.eventually import eventually

_USER = "faults"  # the relay's own, since the others go on meanwhile
_SHORT_LENGTH = 600  # more than the relay sends at once, or it would never get through


def url_of(stage: Stage, password: str) -> str:
    """Return the URL of the relay's own user."""
    return f"amqp://{_USER}:{password}@{urlsplit(stage.broker.url).netloc.rpartition('@')[2]}/"


async def _ctl(stage: Stage, *command: str) -> str:
    output: str = await asyncio.to_thread(stage.broker.ctl, *command)
    return output


_AGE_S = 5.0
"""RabbitMQ 3.10 writes down with a delay whom a quorum queue has for a leader: killed in the first
seconds of a queue's life, a node that is alone may never elect one again."""


@contextlib.asynccontextmanager
async def _outage(stage: Stage, name: str) -> AsyncIterator[None]:
    """Break something in the block; the fault lasts until events come through again."""
    async with stage.fault(name):
        yield
        await stage.delivers()


async def _kill(stage: Stage) -> None:
    await stage.hold(_AGE_S)
    async with _outage(stage, "broker killed"):
        await asyncio.to_thread(stage.broker.kill)
        await asyncio.to_thread(stage.broker.start)


async def _restart(stage: Stage) -> None:
    async with _outage(stage, "broker restarted"):
        await asyncio.to_thread(stage.broker.stop)
        await asyncio.to_thread(stage.broker.start)


async def _stop_app(stage: Stage) -> None:
    async with _outage(stage, "stop_app"):
        await _ctl(stage, "stop_app")
        await stage.hold(stage.size.outage_s)
        await _ctl(stage, "start_app")


def _alarm(name: str, on: tuple[str, ...], off: tuple[str, ...]) -> Scenario:
    async def strike(stage: Stage) -> None:
        async with _outage(stage, name):
            try:
                await _ctl(stage, *on)
                await eventually(stage.relay.is_blocked)
                await stage.hold()
            finally:
                await _ctl(stage, *off)

    return Scenario(name=name, strike=strike, spares_senders=True)


async def _delete_exchange(stage: Stage) -> None:
    """Delete the events' exchange, and with it the binding, which its owner has to make again."""
    async with _outage(stage, "exchange deleted"):
        async with await aio_pika.connect(stage.broker.url) as connection:
            await (await connection.channel()).exchange_delete(stage.exchange)
        await stage.hold()
        await stage.queues.declare()


async def _fill_queue(stage: Stage) -> None:
    """Let nobody read, until the queue refuses."""
    nacks = await stage.relay.metric("relay_publish_nacks_total")

    async def has_refused() -> bool:
        return await stage.relay.metric("relay_publish_nacks_total") > nacks

    async with _outage(stage, "queue full"):
        stage.recorder.pause()
        try:
            await eventually(has_refused)
            await stage.hold()
        finally:
            stage.recorder.resume()
        await eventually(stage.relay.has_caught_up, limit_s=stage.size.settle_s)


async def _own_user(stage: Stage) -> None:
    """Give the relay a user of its own."""
    with contextlib.suppress(BrokerError):  # there from another scenario
        await _ctl(stage, "add_user", _USER, "first")
    await _ctl(stage, "change_password", _USER, "first")
    await _grant(stage)
    stage.relay_urls = [url_of(stage, "first")]


async def _grant(stage: Stage) -> None:
    await _ctl(stage, "set_permissions", "-p", "/", _USER, ".*", ".*", ".*")


async def _disconnect(stage: Stage) -> None:
    await _ctl(stage, "close_all_user_connections", _USER, "on purpose")


async def _revoke(stage: Stage) -> None:
    async with _outage(stage, "permission revoked"):
        await _ctl(stage, "clear_permissions", "-p", "/", _USER)
        await _disconnect(stage)
        await stage.hold()
        await _grant(stage)


async def _rotate(stage: Stage) -> None:
    """Change the password; an operator changes the settings, too, and starts the relay anew."""
    password = f"{stage.random.getrandbits(64):x}"
    async with _outage(stage, "password rotated"):
        await _ctl(stage, "change_password", _USER, password)
        await _disconnect(stage)
        await stage.hold()
        stage.relay.sections["broker"]["urls"] = [url_of(stage, password)]
        stage.relay.write_config(stage.relay.sections)
        await stage.relay.restart()


async def _close(stage: Stage) -> None:
    async with _outage(stage, "connection closed"):
        await _disconnect(stage)


def _with_own_user(name: str, strike: Callable[[Stage], Awaitable[None]]) -> Scenario:
    spares_senders = strike is not _rotate  # which ends with a restart of the relay
    return Scenario(name=name, strike=strike, prepare=_own_user, spares_senders=spares_senders)


SCENARIOS = [
    Scenario(name="broker-killed", strike=_kill, spares_senders=True),
    Scenario(name="broker-restarted", strike=_restart, spares_senders=True),
    Scenario(name="broker-stop-app", strike=_stop_app, spares_senders=True),
    _alarm(
        "memory-alarm",
        on=("set_vm_memory_high_watermark", "0.0000001"),
        off=("set_vm_memory_high_watermark", "0.4"),
    ),
    _alarm(
        "disk-alarm", on=("set_disk_free_limit", "900000GB"), off=("set_disk_free_limit", "1MB")
    ),
    Scenario(name="exchange-deleted", strike=_delete_exchange, spares_senders=True),
    Scenario(
        name="queue-full",
        strike=_fill_queue,
        queue_arguments={"x-max-length": _SHORT_LENGTH, "x-overflow": "reject-publish"},
        spares_senders=True,
    ),
    _with_own_user("permission-revoked", _revoke),
    _with_own_user("password-rotated", _rotate),
    _with_own_user("connection-closed", _close),
]
