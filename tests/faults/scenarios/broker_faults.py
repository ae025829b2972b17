"""RabbitMQ fails, in each way that one node can."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import aio_pika

from deploy.local.node import BrokerError, PrivateBroker
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import eventually
from tests.support.servers import administration

Act = Callable[[PrivateBroker], None]

_USER = "faults"  # the relay's own, since the others go on meanwhile
_SHORT_LENGTH = 600  # more than the relay sends at once, or it would never get through


def url_of(harness: FaultHarness, password: str) -> str:
    """Return the URL of the relay's own user."""
    return f"amqp://{_USER}:{password}@{urlsplit(harness.broker.url).netloc.rpartition('@')[2]}/"


async def _ctl(harness: FaultHarness, *command: str) -> str:
    output: str = await asyncio.to_thread(harness.broker.ctl, *command)
    return output


_AGE_S = 5.0
"""RabbitMQ 3.10 writes down with a delay whom a quorum queue has for a leader: killed in the first
seconds of a queue's life, a node that is alone may never elect one again."""


@contextlib.asynccontextmanager
async def _outage(harness: FaultHarness, name: str) -> AsyncIterator[None]:
    """Break something in the block; the fault lasts until events come through again."""
    async with harness.fault(name):
        yield
        await harness.delivers()


async def _kill(harness: FaultHarness) -> None:
    await harness.hold(_AGE_S)
    async with _outage(harness, "broker killed"):
        await asyncio.to_thread(harness.broker.kill)
        await asyncio.to_thread(harness.broker.start)


async def _restart(harness: FaultHarness) -> None:
    async with _outage(harness, "broker restarted"):
        await asyncio.to_thread(harness.broker.stop)
        await asyncio.to_thread(harness.broker.start)


async def _stop_app(harness: FaultHarness) -> None:
    async with _outage(harness, "stop_app"):
        await _ctl(harness, "stop_app")
        await harness.hold(harness.size.outage_s)
        await _ctl(harness, "start_app")


def _alarm(name: str, on: Act, off: Act) -> Scenario:
    async def strike(harness: FaultHarness) -> None:
        async with _outage(harness, name):
            try:
                await asyncio.to_thread(on, harness.broker)
                await eventually(harness.relay.is_blocked)
                await harness.hold()
            finally:
                await asyncio.to_thread(off, harness.broker)

    return Scenario(name=name, strike=strike, must_accept_all=True)


async def _delete_exchange(harness: FaultHarness) -> None:
    """Delete the events' exchange, and with it the binding, which its owner has to make again."""
    async with _outage(harness, "exchange deleted"):
        async with await aio_pika.connect(harness.broker.url) as connection:
            await (await connection.channel()).exchange_delete(harness.exchange)
        await harness.hold()
        await harness.queues.declare()


async def _fill_queue(harness: FaultHarness) -> None:
    """Let nobody read, until the queue refuses."""
    nacks = await harness.relay.metric("relay_publish_nacks_total")

    async def has_refused() -> bool:
        return await harness.relay.metric("relay_publish_nacks_total") > nacks

    async with _outage(harness, "queue full"):
        harness.recorder.pause()
        try:
            await eventually(has_refused)
            await harness.hold()
        finally:
            harness.recorder.resume()
        await eventually(harness.relay.has_caught_up, limit_s=harness.size.settle_s)


async def _own_user(harness: FaultHarness) -> None:
    """Give the relay a user of its own."""
    with contextlib.suppress(BrokerError):  # there from another scenario
        await asyncio.to_thread(administration.add_user, harness.broker, _USER, "first")
    await _change_password(harness, "first")
    await _grant(harness)
    harness.relay_urls = [url_of(harness, "first")]


async def _change_password(harness: FaultHarness, password: str) -> None:
    await asyncio.to_thread(administration.change_password, harness.broker, _USER, password)


async def _grant(harness: FaultHarness) -> None:
    await asyncio.to_thread(
        administration.set_permissions, harness.broker, _USER, (".*", ".*", ".*")
    )


async def _disconnect(harness: FaultHarness) -> None:
    await _ctl(harness, "close_all_user_connections", _USER, "on purpose")


async def _revoke(harness: FaultHarness) -> None:
    async with _outage(harness, "permission revoked"):
        await asyncio.to_thread(administration.clear_permissions, harness.broker, _USER)
        await _disconnect(harness)
        await harness.hold()
        await _grant(harness)


async def _rotate(harness: FaultHarness) -> None:
    """Change the password; an operator changes the settings, too, and starts the relay anew."""
    password = f"{harness.random.getrandbits(64):x}"
    async with _outage(harness, "password rotated"):
        await _change_password(harness, password)
        await _disconnect(harness)
        await harness.hold()
        harness.relay.sections["broker"]["urls"] = [url_of(harness, password)]
        harness.relay.write_config(harness.relay.sections)
        await harness.relay.restart()


async def _close(harness: FaultHarness) -> None:
    async with _outage(harness, "connection closed"):
        await _disconnect(harness)


def _with_own_user(name: str, strike: Callable[[FaultHarness], Awaitable[None]]) -> Scenario:
    must_accept_all = strike is not _rotate  # which ends with a restart of the relay
    return Scenario(name=name, strike=strike, prepare=_own_user, must_accept_all=must_accept_all)


SCENARIOS = [
    Scenario(name="broker-killed", strike=_kill, must_accept_all=True),
    Scenario(name="broker-restarted", strike=_restart, must_accept_all=True),
    Scenario(name="broker-stop-app", strike=_stop_app, must_accept_all=True),
    _alarm(
        "memory-alarm",
        on=lambda node: administration.set_vm_memory_high_watermark(node, 0.0000001),
        off=lambda node: administration.set_vm_memory_high_watermark(node, 0.4),
    ),
    _alarm(
        "disk-alarm",
        on=lambda node: administration.set_disk_free_limit(node, "900000GB"),
        off=lambda node: administration.set_disk_free_limit(node, "1MB"),
    ),
    Scenario(name="exchange-deleted", strike=_delete_exchange, must_accept_all=True),
    Scenario(
        name="queue-full",
        strike=_fill_queue,
        queue_arguments={"x-max-length": _SHORT_LENGTH, "x-overflow": "reject-publish"},
        must_accept_all=True,
    ),
    _with_own_user("permission-revoked", _revoke),
    _with_own_user("password-rotated", _rotate),
    _with_own_user("connection-closed", _close),
]
