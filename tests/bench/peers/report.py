"""What a run of `make bench-peers` found, as Markdown. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.measures.throughput import column
from tests.bench.peers.outage import Outage, Outcome
from tests.bench.peers.speed import Speed
from tests.bench.peers.systems import OBVIOUS, System
from tests.bench.report.figures import ratios, spread
from tests.bench.report.tables import table

_MB = 1_000_000
_METHOD = """\
All systems publish to one quorum queue, and stay running; slices of a few seconds give work to one
of them at a time. Sent are the documented payloads of five vendors in turn, one event each, over 64
connections. CPU is user and system of all threads and processes of a system, until its last event
was in the queue; ratios are taken within a round. Latency counts from when a request was due. Only
this relay authenticates and normalizes; the others publish the body as it came.

In the outage each system runs alone. The sender does not retry, and waits {give_up:g} s for an
answer. Out of order is what first arrived after another of its conversation that was sent only once
the sender had its 2xx."""


@dataclass(slots=True, kw_only=True)
class Found:
    """All of a run; what was not measured is empty.

    Args:
        about: when, how, where and on what.
        left_out: why some systems were not run, a sentence each.
        speed: of all of them.
        outages: what one did to each, by name.
    """

    about: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    speed: Speed | None = None
    outages: dict[str, Outcome] = field(default_factory=dict)


def markdown(found: Found, systems: Sequence[System], outage: Outage) -> str:
    """Return the whole report."""
    parts = [
        _costs(found.speed, systems) if found.speed else [],
        _outages(found.outages, systems, outage),
        [_METHOD.format(give_up=outage.give_up_s)],
        [f"- {name}: {value}" for name, value in found.about.items()],
        [f"- left out: {sentence}" for sentence in found.left_out],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _costs(speed: Speed, systems: Sequence[System]) -> list[str]:
    head = (
        *("system", "2xx means", "CPU per event, µs", "CPU, of the obvious relay's"),
        *("events per second", "resident memory, MB"),
        *[f"50th, 99th percentile at {rate:g} /s, ms" for rate in speed.at_rate],
    )
    return table(head, [_cost(speed, system) for system in systems])


def _cost(speed: Speed, system: System) -> Iterator[str]:
    rounds, name = speed.fastest, system.name
    cpu_us = column(rounds, name, "cpu_us")
    yield system.what
    yield system.guarantee
    yield spread(cpu_us).text()
    has_obvious = OBVIOUS.name in rounds[0]
    yield ratios(cpu_us, column(rounds, OBVIOUS.name, "cpu_us")).text(".2f") if has_obvious else ""
    yield spread(column(rounds, name, "delivered_rate")).text()
    yield f"{spread(column(rounds, name, 'resident_bytes')).median / _MB:.0f}"
    for each in speed.at_rate.values():
        answers = column(each, name, "latency_ms")
        yield ", ".join(
            f"{spread([latency_ms[percent] for latency_ms in answers]).median:.1f}"
            for percent in ("50", "99")
        )


def _outages(
    outages: Mapping[str, Outcome], systems: Sequence[System], outage: Outage
) -> list[str]:
    load = f"{outage.rate:g} deliveries per second for {outage.count / outage.rate:g} s"
    head = (
        f"{load}, RabbitMQ killed for {outage.lasts_s:g} of them",
        *("2xx means", "away, s", "sent", "answered 2xx", "lost after 2xx", "delivered twice"),
        *("out of order", "answers by status"),
    )
    return table(head, [_outage(outages[system.name], system) for system in systems if outages])


def _outage(found: Outcome, system: System) -> Iterator[str]:
    yield system.what
    yield system.guarantee
    yield f"{found.away_s:.1f}"
    yield f"{found.sent:,}"
    yield f"{found.answered:,} ({found.answered / found.sent:.0%})"
    for count in (found.lost, found.twice, found.out_of_order):
        yield f"{count:,}"
    yield ", ".join(
        f"{'none' if status == '0' else status}: {n:,}" for status, n in found.statuses.items()
    )
