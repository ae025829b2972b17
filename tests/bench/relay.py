"""`make bench`: how fast the relay is, beside what one would write instead, in one run.

python -m tests.bench.relay [--only PART ...] [--rounds N] [--seconds S] [--other NAME=COMMAND]
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from deploy.local.broker import open_broker
from tests.bench import arena, throughput
from tests.bench.arena import Arena
from tests.bench.figures import ratios, spread


async def run(options, url, directory):
    async with Arena.opened(url, directory) as it:
        names = [arena.BARE, arena.OBVIOUS, arena.OUTBOX, arena.CONFIRM]
        await it.enter(names)
        rounds = await throughput.measure(it, names, rounds=options.rounds, seconds=options.seconds)
        for name in names:
            get = lambda n, w: throughput.column(rounds, n, w)
            print(
                f"{name:10} cpu {spread(get(name, 'cpu_us')).text()}  x bare {ratios(get(name, 'cpu_us'), get('bare', 'cpu_us')).text('.2f')}"
                f" rate {spread(get(name, 'delivered_rate')).text()} x obvious {ratios(get(name, 'delivered_rate'), get('obvious', 'delivered_rate')).text('.2f')}"
                f" ack {spread(get(name, 'acknowledged_rate')).text()}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        open_broker(Path(directory) / "broker") as urls,
    ):
        for name in [it for it in os.environ if it.startswith("RELAY_")]:
            del os.environ[name]
        asyncio.run(run(options, urls.split(",")[0], Path(directory)))


if __name__ == "__main__":
    main()
