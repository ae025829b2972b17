"""`make capacity`: what "How much is needed" in deploy/README.md reckons with.

    python -m tests.bench.capacity [--rounds N] [--seconds S] [--rate R]

Written to tests/bench/results/capacity.{md,json}.
"""

import argparse
import asyncio
import json
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from deploy.local.broker import open_broker
from tests.bench.harness.bench_harness import BenchHarness
from tests.bench.measures import broker_cost, disk, scaling
from tests.bench.report import results, tables
from tests.bench.report.figures import ratios, spread
from tests.support.servers.edge_proxies import HAProxy

RESULTS = Path("tests/bench/results")
_EVENTS = 20_000
_METHOD = """\
Receivers share the load of HAProxy, each with the same whatever their number, all on two cores with
HAProxy, RabbitMQ and the load generator. CPU is user and system. Bytes are means over every
documented payload up to 20 kB, each event as often: of the outbox and the archive, of their files;
of RabbitMQ, what the directory of a node grew by, with a quorum queue of one member or of three."""


async def _measure(options: argparse.Namespace, directory: Path) -> dict[str, object]:
    costs = await broker_cost.measure(
        directory / "cost", seconds=options.seconds, rate=options.rate
    )
    with open_broker(directory / "disk-broker") as url:
        weights = await disk.measure(url, directory / "disk", _EVENTS)
    with open_broker(directory / "scaling-broker") as url:
        async with BenchHarness.opened(url, directory / "scaling") as harness:
            about = results.about(shlex.join(sys.orig_argv[1:]), harness.queue.broker_version)
            rounds = await scaling.measure(
                harness, rounds=options.rounds, seconds=options.seconds, rate_each=options.rate
            )
    return {"costs": costs, "weights": weights, "rounds": rounds, "about": about}


def _receivers(rounds: scaling.Rounds) -> list[str]:
    alone = [each_round[1].cpu_us for each_round in rounds]
    lines = []
    for count in scaling.RECEIVERS:
        of_count = [each_round[count] for each_round in rounds]
        cpu_us = [share.cpu_us for share in of_count]
        lines.append(
            (
                str(count),
                f"{sum(share.events for share in of_count):,}",
                spread(cpu_us).text(),
                ratios(cpu_us, alone).text(".2f"),
                spread([share.proxy_us for share in of_count]).text(),
                spread([max(share.parts) * count for share in of_count]).text(".2f"),
            )
        )
    head = (
        "receivers",
        "events, all in RabbitMQ",
        "CPU per event, µs",
        "of one receiver's",
        "HAProxy's, µs",
        "busiest receiver's part, of an equal one",
    )
    return tables.table(head, lines)


def _costs(costs: list[broker_cost.Cost]) -> list[str]:
    head = ("RabbitMQ nodes", "CPU per event and node, published", "consumed", "on disk per node")
    lines = [
        (
            str(cost.nodes),
            f"{cost.publish_us:.0f} µs",
            f"{cost.consume_us:.0f} µs",
            f"{cost.disk_bytes:,.0f} B",
        )
        for cost in costs
    ]
    return tables.table(head, lines)


def _weights(weights: disk.Weights) -> list[str]:
    values = [f"{bytes_each:,.0f} B" for bytes_each in asdict(weights).values()]
    return tables.table(
        ("an event as a message", "in the outbox", "in the archive (SQLite)"), [values]
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=400, help="requests/s to each receiver")
    options = parser.parse_args()
    if lacks := HAProxy.lacks():
        sys.exit(f"{lacks}; run `apt-get install haproxy`.")
    results.forget_settings()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("cost", "disk", "scaling"):
            (directory / part).mkdir()
        found = asyncio.run(_measure(options, directory))
    rounds, about = found["rounds"], found["about"]
    parts = [_receivers(rounds), _costs(found["costs"]), _weights(found["weights"])]
    notes = [_METHOD, "", *[f"- {key}: {value}" for key, value in about.items()]]
    text = "\n\n".join("\n".join(part) for part in (*parts, notes)) + "\n"
    (RESULTS / "capacity.md").write_text(text)
    (RESULTS / "capacity.json").write_text(
        json.dumps(
            {
                "about": about,
                "costs": [asdict(cost) for cost in found["costs"]],
                "weights": asdict(found["weights"]),
                "rounds": [{n: asdict(share) for n, share in one.items()} for one in rounds],
            },
            indent=1,
        )
    )
    print(text)


if __name__ == "__main__":
    main()
