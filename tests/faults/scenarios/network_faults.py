"""The network between relay and broker fails, in each direction, through a proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import LIMIT_S, eventually
from tests.support.servers.proxy import Direction, Proxy

_STORM_CUTS = 5  # each doubles the pause before the next attempt
# Where in a frame a cut falls is drawn by lot, within some batches of each way's usual traffic.
_MESSAGES_BYTES, _CONFIRMS_BYTES = 30_000, 300
_LATENCY_S = 2.0
# A step that was asked for in vain, the longest pause before the next attempt, and a busy machine.
_RECOVERY_S = 10.0 + 15.0 + 10.0
_STALL_S, _STALLED_SHARE = 0.5, 0.1

Strike = Callable[[FaultHarness], Awaitable[None]]


@contextlib.asynccontextmanager
async def _silent(harness: FaultHarness, *directions: Direction) -> AsyncIterator[None]:
    """Pass nothing on in these directions, without a reset, until the relay has given up."""
    failures = await _failures(harness)
    async with harness.fault("half-open"):
        for direction in directions:
            direction.flows.clear()
        try:
            yield
            await eventually(lambda: _has_failed_since(harness, failures))
        finally:
            harness.proxy.resume()
        await harness.delivers()


async def _failures(harness: FaultHarness) -> float:
    return await harness.relay.metric("relay_broker_failures_total")


async def _has_failed_since(harness: FaultHarness, failures: float) -> bool:
    return await _failures(harness) > failures


async def _half_open(harness: FaultHarness) -> None:
    async with _silent(harness, harness.proxy.to_broker, harness.proxy.to_relay):
        await harness.hold()


async def _half_open_to_broker(harness: FaultHarness) -> None:
    async with _silent(harness, harness.proxy.to_broker):
        await harness.hold()


async def _half_open_to_relay(harness: FaultHarness) -> None:
    async with _silent(harness, harness.proxy.to_relay):
        await harness.hold()


async def _latency(harness: FaultHarness) -> None:
    """Half of the latency on each way, on a connection that is already there."""
    async with harness.fault("latency"):
        both = harness.proxy.to_broker, harness.proxy.to_relay
        for direction in both:
            direction.delay_s = _LATENCY_S / 2
        await harness.hold()
        for direction in both:
            direction.delay_s = 0
        await harness.delivers()


async def _stalls(harness: FaultHarness) -> None:
    async with harness.fault("stalled writes"):
        both = harness.proxy.to_broker, harness.proxy.to_relay
        for direction in both:
            direction.stall_s, direction.stalled_share = _STALL_S, _STALLED_SHARE
        await harness.hold()
        for direction in both:
            direction.stalled_share = 0
        await harness.delivers()


def _cut(direction_of: Callable[[FaultHarness], Direction], latest_bytes: int) -> Strike:
    async def strike(harness: FaultHarness) -> None:
        direction = direction_of(harness)
        cuts = direction.cuts
        async with harness.fault("cut in mid-frame"):
            direction.cut_after_bytes = harness.random.randint(1, latest_bytes)
            await eventually(lambda: direction.cuts > cuts)
            await harness.delivers()

    return strike


async def _storm(harness: FaultHarness) -> None:
    """Reset each new connection at a moment of its life drawn by lot."""
    async with harness.fault("reconnect storm"):
        for _ in range(_STORM_CUTS):
            before = harness.proxy.connections
            harness.proxy.cut()
            # The relay takes its time when one connection after the other ends at once.
            await eventually(lambda before=before: harness.proxy.connections > before, 3 * LIMIT_S)
            await asyncio.sleep(harness.random.uniform(0, 0.05))
        await harness.delivers()


# A broker that keeps connections alive and answers nothing else.


async def _mute(harness: FaultHarness) -> None:
    """Go on until the relay has given up this connection, and another one while it was set up."""
    failures = await _failures(harness)
    async with harness.fault("mute broker"):
        harness.proxy.mute()
        try:
            for number in range(2):
                await eventually(lambda n=number: _has_failed_since(harness, failures + n))
            await harness.hold()
        finally:
            harness.proxy.resume()
        await eventually(harness.relay.is_connected, _RECOVERY_S)
        await harness.delivers()


async def _second_way(harness: FaultHarness) -> None:
    """Give the relay a second URL, through a proxy of its own."""
    harness.second_proxy = await harness.enter(Proxy(harness.broker.url))
    harness.relay_urls = [harness.proxy.url, harness.second_proxy.url]


async def _mute_one(harness: FaultHarness) -> None:
    """Mute the broker that is used. Events must go out through the other one all the while."""
    used, other = harness.proxy, harness.second_proxy
    if not used.is_used:
        used, other = other, used
    async with harness.fault("mute broker"):
        used.mute()
        try:
            await eventually(lambda: other.is_used)
            await harness.delivers()
            await harness.hold()
        finally:
            used.resume()
        await harness.delivers()


def _through_proxy(
    name: str, strike: Strike, prepare: Strike | None = None, **broker: object
) -> Scenario:
    return Scenario(
        name=name,
        strike=strike,
        prepare=prepare,
        through_proxy=True,
        settings={"broker": broker},
        must_accept_all=True,
    )


# A confirm that comes two seconds late is no fault to the relay: the limit is above that.
_PATIENT = {"confirm_timeout_s": 10, "heartbeat_s": 5}

SCENARIOS = [
    _through_proxy("half-open", _half_open),
    _through_proxy("half-open-to-broker", _half_open_to_broker),
    _through_proxy("half-open-to-relay", _half_open_to_relay),
    _through_proxy("latency", _latency, **_PATIENT),
    _through_proxy("stalled-writes", _stalls, **_PATIENT),
    _through_proxy("cut-to-broker", _cut(lambda harness: harness.proxy.to_broker, _MESSAGES_BYTES)),
    _through_proxy("cut-to-relay", _cut(lambda harness: harness.proxy.to_relay, _CONFIRMS_BYTES)),
    _through_proxy("reconnect-storm", _storm),
    _through_proxy("broker-mute", _mute),
    _through_proxy("broker-mute-second-url", _mute_one, _second_way),
]
CONFIRMING = [
    replace(
        scenario,
        name=f"{scenario.name}-confirm",
        settings={**scenario.settings, "ingress": {"ack_after": "confirm"}},
        must_accept_all=False,
    )
    for scenario in SCENARIOS
]
