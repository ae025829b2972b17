"""The network between relay and broker fails, in each direction, through a proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from tests.faults.fault_harness import Stage
from tests.faults.scenario import Scenario
from tests.support.eventually import LIMIT_S, eventually
from tests.support.proxy import Direction

_STORM_CUTS = 5  # each doubles the pause before the next attempt
# Where in a frame a cut falls is drawn by lot, within some batches of each way's usual traffic.
_MESSAGES_BYTES, _CONFIRMS_BYTES = 30_000, 300
_LATENCY_S = 2.0
_STALL_S, _STALLED_SHARE = 0.5, 0.1

Strike = Callable[[Stage], Awaitable[None]]


@contextlib.asynccontextmanager
async def _silent(stage: Stage, *directions: Direction) -> AsyncIterator[None]:
    """Pass nothing on in these directions, without a reset, until the relay has given up."""
    failures = await _failures(stage)
    async with stage.fault("half-open"):
        for it in directions:
            it.flows.clear()
        try:
            yield
            await eventually(lambda: _has_failed_since(stage, failures))
        finally:
            stage.proxy.resume()
        await stage.delivers()


async def _failures(stage: Stage) -> float:
    return await stage.relay.metric("relay_broker_failures_total")


async def _has_failed_since(stage: Stage, failures: float) -> bool:
    return await _failures(stage) > failures


async def _half_open(stage: Stage) -> None:
    async with _silent(stage, stage.proxy.to_broker, stage.proxy.to_relay):
        await stage.hold()


async def _half_open_to_broker(stage: Stage) -> None:
    async with _silent(stage, stage.proxy.to_broker):
        await stage.hold()


async def _half_open_to_relay(stage: Stage) -> None:
    async with _silent(stage, stage.proxy.to_relay):
        await stage.hold()


async def _latency(stage: Stage) -> None:
    """Half of the latency on each way, on a connection that is already there."""
    async with stage.fault("latency"):
        both = stage.proxy.to_broker, stage.proxy.to_relay
        for it in both:
            it.delay_s = _LATENCY_S / 2
        await stage.hold()
        for it in both:
            it.delay_s = 0
        await stage.delivers()


async def _stalls(stage: Stage) -> None:
    async with stage.fault("stalled writes"):
        both = stage.proxy.to_broker, stage.proxy.to_relay
        for it in both:
            it.stall_s, it.stalled_share = _STALL_S, _STALLED_SHARE
        await stage.hold()
        for it in both:
            it.stalled_share = 0
        await stage.delivers()


def _cut(direction_of: Callable[[Stage], Direction], latest_bytes: int) -> Strike:
    async def strike(stage: Stage) -> None:
        direction = direction_of(stage)
        cuts = direction.cuts
        async with stage.fault("cut in mid-frame"):
            direction.cut_after_bytes = stage.random.randint(1, latest_bytes)
            await eventually(lambda: direction.cuts > cuts)
            await stage.delivers()

    return strike


async def _storm(stage: Stage) -> None:
    """Reset each new connection at a moment of its life drawn by lot."""
    async with stage.fault("reconnect storm"):
        for _ in range(_STORM_CUTS):
            before = stage.proxy.connections
            stage.proxy.cut()
            # The relay takes its time when one connection after the other ends at once.
            await eventually(lambda before=before: stage.proxy.connections > before, 3 * LIMIT_S)
            await asyncio.sleep(stage.random.uniform(0, 0.05))
        await stage.delivers()


def _through_proxy(name: str, strike: Strike, **broker: object) -> Scenario:
    return Scenario(
        name=name,
        strike=strike,
        through_proxy=True,
        settings={"broker": broker},
        spares_senders=True,
    )


# A confirm that comes two seconds late is no fault to the relay: the limit is above that.
_PATIENT = {"confirm_timeout_s": 10, "heartbeat_s": 5}

SCENARIOS = [
    _through_proxy("half-open", _half_open),
    _through_proxy("half-open-to-broker", _half_open_to_broker),
    _through_proxy("half-open-to-relay", _half_open_to_relay),
    _through_proxy("latency", _latency, **_PATIENT),
    _through_proxy("stalled-writes", _stalls, **_PATIENT),
    _through_proxy("cut-to-broker", _cut(lambda stage: stage.proxy.to_broker, _MESSAGES_BYTES)),
    _through_proxy("cut-to-relay", _cut(lambda stage: stage.proxy.to_relay, _CONFIRMS_BYTES)),
    _through_proxy("reconnect-storm", _storm),
]
CONFIRMING = [
    replace(
        it,
        name=f"{it.name}-confirm",
        settings={**it.settings, "ingress": {"ack_after": "confirm"}},
        spares_senders=False,
    )
    for it in SCENARIOS
]
