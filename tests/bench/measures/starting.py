"""How long `relay serve` takes until a webhook sent to it would be accepted."""

import os
import sys
import time

from tests.bench.harness.bench_harness import BenchHarness


async def measure(harness: BenchHarness, *, rounds: int) -> list[float]:
    """Return the seconds from the start of the process to 200 on /readyz, by round.

    One more start, which is not measured, compiles the relay's modules as pip would on installing.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    taken_s = []
    for number in range(rounds + 1):
        print(f"start: round {number} of {rounds}", file=sys.stderr)
        relay = harness.relay("starting", ingress={"ack_after": "confirm"})
        began_at = time.monotonic()
        async with relay:
            while (await relay.readiness())[0] != 200:
                pass  # each question takes a while; in `confirm` mode 200 needs the broker
            taken_s.append(time.monotonic() - began_at)
    return taken_s[1:]
