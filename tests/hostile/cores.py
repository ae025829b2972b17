"""Which cores relay and broker run on, and which attackers and honest callers.

On shared cores an attacker takes from the relay what it needs to attack, as no attacker from
elsewhere does. So each attack is also made with cores of their own for the two sides.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from typing import NamedTuple


class Placement(NamedTuple):
    """Where both sides run.

    Args:
        name: of the placement, for a heading.
        relay: the cores of relay and broker.
        callers: those of attackers and honest callers.
    """

    name: str
    relay: frozenset[int]
    callers: frozenset[int]


def placements(available: Collection[int]) -> list[Placement]:
    """Return all placements on these cores: shared, and apart where there are two or more."""
    cores = sorted(available)
    shared = Placement("All on the same cores", frozenset(cores), frozenset(cores))
    if len(cores) == 1:
        return [shared]
    half = len(cores) // 2
    return [
        shared,
        Placement(
            "Attackers and honest callers on cores of their own",
            frozenset(cores[:half]),
            frozenset(cores[half:]),
        ),
    ]


@contextlib.contextmanager
def running_on(cores: Collection[int]) -> Iterator[None]:
    """Run this thread, and the processes that it starts, on these cores while the context is open.

    A process stays where it was started.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
