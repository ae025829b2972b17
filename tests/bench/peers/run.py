"""`make bench-peers`: this relay beside what else takes webhooks to RabbitMQ, in one run.

    python -m tests.bench.peers.run [SYSTEM ...] [--rounds N] [--seconds S]

A whole run is written to tests/bench/results/peers.{md,json}; one of some systems, or with other
settings, only printed. A system whose program is not on the PATH is left out with a sentence.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deploy.local.node import BrokerError, PrivateBroker
from tests.bench.peers import outage, report, speed
from tests.bench.peers.outage import Outage
from tests.bench.peers.systems import SYSTEMS, System, versions
from tests.bench.report import results
from tests.support import summary

_RESULTS = Path("tests/bench/results")


async def _measure(
    node: PrivateBroker, directory: Path, systems: Sequence[System], options: argparse.Namespace
) -> report.Found:
    found = report.Found()
    found.speed = await speed.measure(
        node.url, directory, systems, rounds=options.rounds, seconds=options.seconds
    )
    command = " ".join(["python -m tests.bench.peers.run", *sys.argv[1:]])
    found.about = results.about(command, found.speed.broker)
    for number, program in enumerate(versions(systems), 1):
        found.about[f"program {number}"] = program
    for system in systems:
        print(f"outage: {system.name}", file=sys.stderr)
        found.outages |= await outage.play(node, directory, [system], Outage())
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers.run")
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help="all that are here, or these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slice")
    options = parser.parse_args()
    chosen = summary.chosen(SYSTEMS, options.systems, "system")
    left_out = [f"{system.name}: {why}" for system in chosen if (why := system.lacks())]
    for sentence in left_out:
        print(sentence, file=sys.stderr)
    systems = [system for system in chosen if not system.lacks()]
    results.forget_settings()
    try:
        with tempfile.TemporaryDirectory() as name, PrivateBroker(Path(name) / "broker") as node:
            found = asyncio.run(_measure(node, Path(name), systems, options))
    except BrokerError as error:
        sys.exit(f"A RabbitMQ that may be killed is needed. {error}")
    found.left_out = left_out
    text = report.markdown(found, systems, Outage())
    print(text)
    if len(sys.argv) == 1:
        (_RESULTS / "peers.md").write_text(text)
        (_RESULTS / "peers.json").write_text(json.dumps(asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
