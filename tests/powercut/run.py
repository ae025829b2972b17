"""`make powercut`: cut the power under two loads, at 10,000 points or more.

    python -m tests.powercut.run [--disks N] [--deliveries N] [--seed N]

One load is an outbox's alone, the other one that of a whole relay with RabbitMQ, which the test
starts; each gets half of the disks. Writes tests/powercut/results/powercut.json; ends with 1 if
anything acknowledged was lost, was there twice, or an outbox did not open by itself.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.local.broker import PrivateBroker
from tests.powercut import load
from tests.powercut.cuts import Cuts, Result
from tests.powercut.promise import JournalPromise, WirePromise
from tests.powercut.relay_load import WORKERS, RelayLoad

_RESULT = Path(__file__).with_name("results") / "powercut.json"


def play_outbox(place: Path, *, deliveries: int, disks: int, seed: int) -> Result:
    """Record an outbox's load in an empty folder and cut the power in it."""
    root, trace, journal = place / "root", place / "trace", place / "journal"
    root.mkdir()
    load.record(trace, root / "outbox", journal, deliveries, seed)
    cuts = Cuts(root, JournalPromise(str(journal)), load.judge, seed=seed)
    return cuts.play([trace], disks=disks)


def record_relay(place: Path, node: PrivateBroker, *, deliveries: int, seed: int) -> RelayLoad:
    """Record a relay's load in an empty folder.

    Raises:
        AssertionError: the relay did not do what it should.
    """
    relay_load = RelayLoad(place, node, deliveries=deliveries, seed=seed)
    asyncio.run(relay_load.record())
    return relay_load


def cut_relay(relay_load: RelayLoad, *, disks: int, seed: int) -> Result:
    """Cut the power in a relay's load.

    Raises:
        AssertionError: the recording lacks an answer or a confirm.
    """
    promise = WirePromise()
    cuts = Cuts(relay_load.root, promise, relay_load.judge(), workers=WORKERS, seed=seed)
    result = cuts.play(relay_load.traces, disks=disks)
    unseen = relay_load.acknowledged - promise.acknowledged
    assert not unseen, f"the recording lacks answers, as of {next(iter(unseen))}"
    assert not promise.owed, f"a confirm is missing, as of {next(iter(promise.owed))}"
    return result


def _play(place: Path, *, deliveries: int, disks: int, seed: int) -> dict[str, Result]:
    for name in ("outbox", "relay", "rabbitmq"):
        (place / name).mkdir()
    with PrivateBroker(place / "rabbitmq") as node:
        relay_load = record_relay(place / "relay", node, deliveries=deliveries, seed=seed)
    sys.stderr.write("The relay's load is recorded.\n")
    return {
        "outbox": play_outbox(place / "outbox", deliveries=deliveries, disks=disks, seed=seed),
        "relay": cut_relay(relay_load, disks=disks, seed=seed),
    }


def main() -> int:
    """Run it and print a summary."""
    parser = argparse.ArgumentParser(description="Power cuts under load.")
    parser.add_argument("--disks", type=int, default=10_000)
    parser.add_argument("--deliveries", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        results = _play(
            Path(place),
            deliveries=chosen.deliveries,
            disks=-(-chosen.disks // 2),
            seed=chosen.seed,
        )
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": chosen.seed,
        "deliveries": chosen.deliveries,
        "disks": sum(result.tally["disks"] for result in results.values()),
        "loads": {
            name: {**result.tally, "faults": result.faults} for name, result in results.items()
        },
    }
    _RESULT.parent.mkdir(exist_ok=True)
    _RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if any(result.faults for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
