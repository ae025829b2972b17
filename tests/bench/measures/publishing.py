"""CPU per published message: the relay's Session against aio-pika, alternating."""

import sys

from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.harness.bound_queue import EXCHANGE
from tests.bench.measures.throughput import Rounds

SESSION, AIO_PIKA = "session", "aio-pika"


async def measure(harness: BenchHarness, *, rounds: int, seconds: float) -> Rounds:
    """Return what publishing alone took, by round."""
    done: Rounds = []
    for number in range(rounds):
        print(f"publishing: round {number + 1} of {rounds}", file=sys.stderr)
        done.append(
            {
                kind: await harness.publish("publisher", kind, harness.url, EXCHANGE, str(seconds))
                for kind in (SESSION, AIO_PIKA)
            }
        )
    return done
