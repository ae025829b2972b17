"""`make bench`: how fast services consume, beside plain aio-pika, on one broker in one run.

Each round fills a queue and lets each candidate of consume.py empty one of the same, one after
the other, in a process of its own whose CPU time counts. Ratios are the result; the seconds are
this machine's. Written to tests/bench/results/consumers.{json,md}.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import aio_pika

from consumers.kit.queues import topology
from consumers.kit.testing import events
from deploy.local.broker import open_broker
from relay import vendors
from relay.broker.connection import declare
from relay.events.topology import Exchange, Topology
from tests.support import summary

RESULTS = Path("tests/bench/results")
KINDS = {
    "aio-pika": "plain aio-pika: `queue.consume`, `message.ack`",
    "kit": "the kit, a handler that does nothing, no `seen` store",
    "kit-seen": "the kit, a handler that does nothing, `seen` in SQLite",
    "archive": "the archive, into SQLite (fsync per batch)",
}
_PUBLISHED_AT_ONCE = 500
_ROUND_LIMIT_S = 300
_MAX_BYTES = 20_000  # bytes; the few huge samples would decide the result


def bodies(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield events of all vendors' samples in turn, each with an id of its own."""
    known = [event for name in vendors.discover() for event in events(name)]
    small = [event for event in known if len(event.body) <= _MAX_BYTES]
    for number, event in enumerate(islice(cycle(small), count)):
        event_id = f"{number:032x}"
        yield event_id, event.body.replace(event.id.encode(), event_id.encode(), 1)


async def fill(url: str, queue: str, count: int) -> None:
    """Make a service's queue anew and put events into it."""
    wanted = topology.topology(queue, retry_delays_s=[1, 10, 60, 600], dead_max_length=1_000_000)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for declared in wanted.queues:
            await channel.queue_delete(declared.name)
        exchanges = Topology(exchanges=(Exchange(name="bench", kind="topic"),))
        await declare(connection, exchanges, passive=False)
        await declare(connection, wanted, passive=False)
        waiting = bodies(count)
        while batch := list(islice(waiting, _PUBLISHED_AT_ONCE)):
            await asyncio.gather(
                *[
                    channel.default_exchange.publish(
                        aio_pika.Message(
                            body,
                            message_id=event_id,
                            content_type="application/cloudevents+json",
                            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                            headers={"vendor": "bench", "source": "bench"},
                        ),
                        routing_key=queue,
                    )
                    for event_id, body in batch
                ]
            )


def measure(kind: str, url: str, count: int) -> dict[str, float]:
    """Let one candidate empty a queue; return CPU per event and events per second."""
    queue = f"bench-{kind}"
    asyncio.run(fill(url, queue, count))
    with tempfile.TemporaryDirectory() as directory:
        command = [
            sys.executable,
            "-m",
            "tests.bench.candidates.consumer",
            kind,
            url,
            queue,
            str(count),
        ]
        output = subprocess.run(
            [*command, directory], check=True, capture_output=True, timeout=_ROUND_LIMIT_S
        ).stdout
    used = json.loads(output)
    if used["events"] != count:
        raise SystemExit(f"{kind} consumed {used['events']} events of {count}.")
    return {"cpu_us": used["cpu_s"] / count * 1e6, "rate": count / used["wall_s"]}


def table(rounds: list[dict[str, dict[str, float]]]) -> list[str]:
    """Return the results as Markdown: medians, and ratios taken within each round."""
    lines = [
        "| what | CPU per event, of plain aio-pika | CPU per event | events per second |",
        "| --- | --- | --- | --- |",
    ]
    for kind, what in KINDS.items():
        ratio = statistics.median(
            [each_round[kind]["cpu_us"] / each_round["aio-pika"]["cpu_us"] for each_round in rounds]
        )
        cpu_us = [each_round[kind]["cpu_us"] for each_round in rounds]
        rates = [each_round[kind]["rate"] for each_round in rounds]
        lines.append(
            f"| {what} | {ratio:.2f} | {statistics.median(cpu_us):.0f} µs"
            f" ({min(cpu_us):.0f} to {max(cpu_us):.0f})"
            f" | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) |"
        )
    return lines


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as directory, open_broker(Path(directory)) as urls:
        url = urls.split(",")[0]
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            rounds.append({kind: measure(kind, url, options.events) for kind in KINDS})
    about = f"{options.rounds} rounds of {options.events:,} events; {summary.machine()}."
    lines = [*table(rounds), "", f"Median and spread of {about}"]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "consumers.md").write_text("\n".join(lines) + "\n")
    (RESULTS / "consumers.json").write_text(
        json.dumps({"about": about, "rounds": rounds}, indent=1)
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
