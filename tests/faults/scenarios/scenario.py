"""What a scenario is and how long it is played. Values only."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.harness.journal import Poison

if TYPE_CHECKING:
    from tests.faults.harness.fault_harness import FaultHarness


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long a scenario is played.

    Args:
        seed: of the load and of all random moments.
        rounds: how often the fault strikes, at least.
        events: how many are acknowledged, at least.
        rate: deliveries per second.
        hold_s: how long a fault lasts that has no length of its own.
        outage_s: how long RabbitMQ is stopped when it is stopped for long.
        disk_hang_s: how long a disk hangs.
        settle_s: how long to wait for the backlog of an outage; an event that the broker refused
            waits up to 90 s for its next attempt.
    """

    seed: int
    rounds: int = 1
    events: int = 500
    rate: float = 120
    hold_s: float = 1.0
    outage_s: float = 3.0
    disk_hang_s: float = 1.0
    settle_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What fails, and how.

    Args:
        name: of the scenario, in the words of the command line.
        strike: one round: break something and wait until the relay has recovered.
        settings: of the relay.
        through_proxy: whether the relay reaches the broker through `harness.proxy`.
        queue_arguments: of the queue that gets all events.
        prepare: what is done before the relay starts.
        recover: what is done after the last round, while the load goes on.
        aftermath: called once all is delivered; returns the consumer's mismatches.
        must_accept_all: whether every delivery must be accepted throughout; in `confirm` mode but
            for poisoned ones.
        poison: see `journal.Poison`.
        wait_limit_s: how long innocent events may wait; None for no limit.
        receivers: how many relays; several run behind HAProxy, without an order between them.
        lacks: returns what this machine lacks for it, "" if nothing.
        nodes: how many RabbitMQ nodes it needs.
    """

    name: str
    strike: "Callable[[FaultHarness], Awaitable[None]]"
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    through_proxy: bool = False
    queue_arguments: Mapping[str, object] = field(default_factory=dict)
    prepare: "Callable[[FaultHarness], Awaitable[None]] | None" = None
    recover: "Callable[[FaultHarness], Awaitable[None]] | None" = None
    aftermath: "Callable[[FaultHarness], Awaitable[list[str]]] | None" = None
    must_accept_all: bool = False
    poison: Poison = ""
    wait_limit_s: float | None = None
    receivers: int = 1
    lacks: Callable[[], str] = lambda: ""
    nodes: int = 1
