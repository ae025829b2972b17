"""`make powercut`: cut the power under an outbox's load, at 10,000 points or more.

    python -m tests.powercut.run [--disks N] [--deliveries N] [--seed N]

Writes tests/powercut/results/powercut.json; ends with 1 if anything acknowledged was lost, was
there twice, or an outbox did not open by itself.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.powercut import cuts, recording

_RESULT = Path(__file__).with_name("results") / "powercut.json"


def play(place: Path, *, deliveries: int, disks: int, seed: int) -> cuts.Result:
    """Record a load in an empty folder and cut the power in it."""
    root, trace, journal = place / "root", place / "trace", place / "journal"
    root.mkdir()
    recording.record(trace, root / "outbox", journal, deliveries, seed)
    return cuts.cut(trace, root, journal, seed=seed, disks=disks)


def main() -> int:
    """Run it and print a summary."""
    parser = argparse.ArgumentParser(description="Power cuts under load.")
    parser.add_argument("--disks", type=int, default=10_000)
    parser.add_argument("--deliveries", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        result = play(
            Path(place), deliveries=chosen.deliveries, disks=chosen.disks, seed=chosen.seed
        )
    found = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seed": chosen.seed,
        "deliveries": chosen.deliveries,
        **result.tally,
        "faults": result.faults,
    }
    _RESULT.parent.mkdir(exist_ok=True)
    _RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
