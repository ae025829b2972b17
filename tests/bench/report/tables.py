"""The results as Markdown: what was to be reached, ratios, absolute figures, how it was done."""

from collections.abc import Iterable, Iterator

from tests.bench.harness.bench_harness import BARE, BEFORE, OBVIOUS, WHAT
from tests.bench.measures import baseline, large, latency
from tests.bench.measures.baseline import Comparison
from tests.bench.measures.stages import STAGES
from tests.bench.measures.throughput import Rounds, column
from tests.bench.report.figures import ratios, spread
from tests.bench.report.results import Results, rows
from tests.support import summary

PLOT = "relay.svg"
_METHOD = """\
Medians, with the least and the greatest of the rounds. Slices of a few seconds alternate, and
ratios are taken within a round, so that what else a machine does weighs on all alike. CPU is user
and system, all threads and processes of a candidate, until its last event was in the queue; that
there are as many in it as were acknowledged is checked after each slice. Events per second count
until then, too. Latency counts from when a request was due. Broker, load generator and candidate
share the cores.

Sent is each documented payload in turn, the vendors interleaved, signed as by its vendor; left out
are handshakes, what is quarantined, and what is above 20 kB. The queue is a quorum queue, made anew
for each slice. CPU by stage: py-spy's samples by the innermost frame of a stage, times what each
thread used. Arrays are sent over 16 connections, so that `confirm` mode's 2,000 events in flight
are not exceeded. A large delivery is sent a second after the last one was answered."""


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = [
        _reached(results),
        _candidates(results),
        _baseline(results.baseline),
        _arrays(results),
        _latencies(results),
        _waits(results),
        _stages(results),
        _about(results),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> list[str]:
    """Return a Markdown table; nothing at all without lines."""
    cells = [tuple(line) for line in lines]
    return summary.markdown(tuple(head), cells) if cells else []


def _reached(results: Results) -> list[str]:
    lines = [
        (row.what, row.to_reach, row.reached, "yes" if row.holds else "**no**")
        for row in rows(results)
    ]
    return table(("what", "to reach", "reached", "holds"), lines)


def _candidates(results: Results) -> list[str]:
    rounds = results.throughput
    names = list(rounds[0]) if rounds else []
    head = (
        "candidate, 64 connections, as fast as it answers",
        "CPU per event, of bare",
        "events per second, of obvious",
        "CPU per event, µs",
        "events per second",
    )
    return table(head, [_candidate(rounds, name) for name in sorted(names, key=_place)])


def _baseline(found: Comparison) -> list[str]:
    head = (
        "against the other checkout",
        "CPU per event, of the other's",
        "events per second, of the other's",
        f"50th percentile of the answer at {baseline.RATE:.0f} /s, ms, before and now",
        "99th percentile, before and now",
    )
    return table(head, [_compared(found, mode) for mode in BEFORE] if found.fastest else [])


def _compared(found: Comparison, mode: str) -> Iterator[str]:
    yield WHAT[mode]
    for what in ("cpu_us", "delivered_rate"):
        yield found.ratios(mode, what).text(".3f")
    for percent in ("50", "99"):
        yield ", ".join([each.text(".2f") for each in found.latencies_ms(mode, percent)])


def _candidate(rounds: Rounds, name: str) -> Iterator[str]:
    cpu_us, rates = column(rounds, name, "cpu_us"), column(rounds, name, "delivered_rate")
    yield WHAT.get(name, name)
    is_known = BARE in rounds[0] and OBVIOUS in rounds[0]
    yield ratios(cpu_us, column(rounds, BARE, "cpu_us")).text(".2f") if is_known else ""
    yield ratios(rates, column(rounds, OBVIOUS, "delivered_rate")).text(".2f") if is_known else ""
    yield spread(cpu_us).text()
    yield spread(rates).text()


def _place(name: str) -> int:
    """Return where a candidate stands in a table: others come last."""
    return [*WHAT, name].index(name)


def _arrays(results: Results) -> list[str]:
    names = sorted(next(iter(results.arrays.values()), [{}])[0], key=_place)
    head = [f"`events` arrays of {calls.partition(':')[2]}" for calls in results.arrays]
    lines = [
        [
            WHAT.get(name, name),
            *[
                f"{spread(column(rounds, name, 'delivered_rate')).median:,.0f} /s,"
                f" {spread(column(rounds, name, 'cpu_us')).median:,.0f} µs"
                for rounds in results.arrays.values()
            ],
        ]
        for name in names
    ]
    return table(("events per second, CPU per event", *head), lines)


def _latencies(results: Results) -> list[str]:
    names = sorted({answer.name for answer in results.answers}, key=_place)
    head = [f"at {part:.0%} of its maximum" for part in latency.PARTS]
    lines = [
        [WHAT.get(name, name), *[_latency(results.answers, name, part) for part in latency.PARTS]]
        for name in names
    ]
    return table(("50th, 99th percentile of the answer, ms", *head), lines)


def _latency(answers: list[latency.Answers], name: str, part: float) -> str:
    half, most = (
        spread(latency.by_part(answers, name, part, percent)).median for percent in ("50", "99")
    )
    (rate, *_) = [answer.rate for answer in answers if (answer.name, answer.part) == (name, part)]
    return f"{half:.1f}, {most:.1f} ({rate:,.0f} /s)"


def _waits(results: Results) -> list[str]:
    head = (f"99th percentile of small deliveries at {large.RATE:.0f} /s, ms, beside",)
    lines = [
        (WHAT.get(name, name), *[spread(waits_ms).text(".1f") for waits_ms in waits.values()])
        for name, waits in results.waits.items()
    ]
    return table((*head, *large.BACKGROUNDS.values()), lines)


def _stages(results: Results) -> list[str]:
    lines = [
        (WHAT.get(name, name), *[f"{parts[stage]:.0f}" for stage in STAGES])
        for name, parts in results.stages.items()
    ]
    found = table(("CPU per event by stage, µs, while sampled", *STAGES), lines)
    return [*found, "", f"![Latency by rate, and CPU per event by stage]({PLOT})"] if found else []


def _about(results: Results) -> list[str]:
    return [_METHOD, "", *[f"- {name}: {value}" for name, value in results.about.items()]]
