"""RabbitMQ closes the channel over some of the events, under load; the others must not wait."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.harness.deliveries import INNOCENT_KEYS, MAX_INNOCENT_BYTES
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.harness.journal import UNAVAILABLE, Poison
from tests.faults.scenarios.scenario import Scenario
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand
from tests.support.servers import refusals

_WAIT_LIMIT_S = 2.0

Act = Callable[[FaultHarness], Awaitable[None]]


async def _parked(harness: FaultHarness) -> float:
    return await harness.relay.metric("relay_outbox_parked")


async def _meet_poison(harness: FaultHarness) -> None:
    """Wait until one more event was refused, and go on for a while."""
    if harness.is_confirming:
        await harness.answers(UNAVAILABLE)
    else:
        before = await _parked(harness)

        async def is_parked() -> bool:
            return await _parked(harness) > before

        await eventually(is_parked)
    await harness.hold()


async def _retry(harness: FaultHarness) -> None:
    """Do what an operator does once RabbitMQ takes everything; nothing may stay parked."""
    if harness.is_confirming:
        return
    config = harness.relay.directory / "relay.toml"
    assert (await RelayCommand(config)("outbox", "retry", "--all")).code == 0

    async def is_none_parked() -> bool:
        return not await _parked(harness)

    await eventually(is_none_parked, harness.size.settle_s)


async def _limit_size(harness: FaultHarness) -> None:
    harness.on_exit(lambda: asyncio.to_thread(refusals.limit_size, harness.broker))
    await asyncio.to_thread(refusals.limit_size, harness.broker, MAX_INNOCENT_BYTES)


async def _raise_size(harness: FaultHarness) -> None:
    await asyncio.to_thread(refusals.limit_size, harness.broker)
    await _retry(harness)


async def _forbid(harness: FaultHarness) -> None:
    harness.on_exit(
        lambda: asyncio.to_thread(refusals.permit_all_keys, harness.broker, harness.exchange)
    )
    await asyncio.to_thread(refusals.permit_keys, harness.broker, harness.exchange, INNOCENT_KEYS)


async def _permit(harness: FaultHarness) -> None:
    await asyncio.to_thread(refusals.permit_keys, harness.broker, harness.exchange, ".*")
    await _retry(harness)


def _poisoned(name: str, poison: Poison, prepare: Act, recover: Act, ack_after: str) -> Scenario:
    return Scenario(
        name=name,
        strike=_meet_poison,
        prepare=prepare,
        recover=recover,
        poison=poison,
        settings={"ingress": {"ack_after": ack_after}},
        must_accept_all=True,
        wait_limit_s=_WAIT_LIMIT_S,
    )


SCENARIOS = [
    _poisoned("message-too-large", "large", _limit_size, _raise_size, "outbox"),
    _poisoned("message-too-large-confirm", "large", _limit_size, _raise_size, "confirm"),
    _poisoned("key-forbidden", "forbidden", _forbid, _permit, "outbox"),
    _poisoned("key-forbidden-confirm", "forbidden", _forbid, _permit, "confirm"),
    _poisoned("key-unnamed", "unnamed", _forbid, _permit, "outbox"),
    _poisoned("key-unnamed-confirm", "unnamed", _forbid, _permit, "confirm"),
]
