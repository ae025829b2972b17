"""CPU per published message: the relay's Session against aio-pika, alternating."""

import sys

from tests.bench.bench_harness import Arena
from tests.bench.bound_queue import EXCHANGE
from tests.bench.throughput import Rounds

SESSION, AIO_PIKA = "session", "aio-pika"


async def measure(arena: Arena, *, rounds: int, seconds: float) -> Rounds:
    """Return what publishing alone took, by round."""
    done: Rounds = []
    for number in range(rounds):
        print(f"publishing: round {number + 1} of {rounds}", file=sys.stderr)
        done.append(
            {
                kind: await arena.publish("publisher", kind, arena.url, EXCHANGE, str(seconds))
                for kind in (SESSION, AIO_PIKA)
            }
        )
    return done
