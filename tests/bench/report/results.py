"""What one run of `make bench` found, and the table of what it was to reach."""

import os
import platform
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from tests.bench.harness.bench_harness import BARE, OBVIOUS, OUTBOX, WORKERS
from tests.bench.measures import large, latency, publishing
from tests.bench.measures.backlog import Backlog
from tests.bench.measures.baseline import Comparison
from tests.bench.measures.throughput import Rounds, column
from tests.bench.report.figures import Spread, ratios, spread

MB = 1_000_000
_CPU_LIMITS = (
    (BARE, "a bare aiohttp handler's", 1.5),
    (OBVIOUS, "the obvious relay's", 0.5),
)
_LIBRARIES = ("aiohttp", "aio-pika", "aiormq", "orjson", "uvloop")


@dataclass(slots=True, kw_only=True)
class Results:
    """By part; what was not measured is empty."""

    about: dict[str, str] = field(default_factory=dict)
    throughput: Rounds = field(default_factory=list)
    arrays: dict[str, Rounds] = field(default_factory=dict)
    answers: list[latency.Answers] = field(default_factory=list)
    publishing: Rounds = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    backlog: Backlog | None = None
    waits: large.Waits = field(default_factory=dict)
    workers: Rounds = field(default_factory=list)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    baseline: Comparison = field(default_factory=Comparison)


class Row(NamedTuple):
    """One line of what was to be reached."""

    what: str
    to_reach: str
    reached: str
    holds: bool


def rows(results: Results) -> Iterator[Row]:
    """Yield what was to be reached, as far as it was measured. Ratios are taken by round."""
    if rounds := results.throughput:
        for other, what, most in _CPU_LIMITS:
            cpu = ratios(column(rounds, OUTBOX, "cpu_us"), column(rounds, other, "cpu_us"))
            yield _limited(f"CPU per event of the whole relay, of {what}", cpu, most, "", ".2f")
    if rounds := results.publishing:
        cpu = ratios(
            column(rounds, publishing.SESSION, "cpu_us"),
            column(rounds, publishing.AIO_PIKA, "cpu_us"),
        )
        what = "CPU per published message, of aio-pika `exchange.publish`'s"
        yield _limited(what, cpu, 0.1, "", ".3f")
    if found := latency.by_part(results.answers, OUTBOX, latency.HALF, "99"):
        what = "99th percentile of the answer at half of the maximum rate"
        yield _limited(what, spread(found), 7, "ms", ".1f")
    yield from _backlog(results.backlog)
    if results.starts_s:
        what = "`relay serve`, from start to ready"
        yield _limited(what, spread(results.starts_s), 0.5, "s", ".2f")
    for background, found in results.waits.get(OUTBOX, {}).items():
        if background:
            what = f"99th percentile of small deliveries beside {large.BACKGROUNDS[background]}"
            yield _limited(what, spread(found), 50, "ms", ".1f")
    if rounds := results.workers:
        cpu = ratios(column(rounds, WORKERS, "cpu_us"), column(rounds, OUTBOX, "cpu_us"))
        what = "CPU per event with 2 workers, of that with one"
        yield _limited(what, cpu, 1.1, "", ".2f")


def _backlog(backlog: Backlog | None) -> Iterator[Row]:
    if backlog:
        what = (
            f"draining a backlog of {backlog.events:,} events, of a raw confirmed publisher's rate"
        )
        yield Row(what, "at least 90 %", f"{backlog.of_raw:.0%}", backlog.of_raw >= 0.9)
        most = max(backlog.waiting_bytes, backlog.draining_bytes) / MB
        what = f"resident memory with {backlog.events:,} events waiting, or going out"
        reached = f"{backlog.waiting_bytes / MB:.0f}, or {backlog.draining_bytes / MB:.0f} MB"
        yield Row(what, "at most 100 MB", reached, most <= 100)


def _limited(what: str, found: Spread, most: float, unit: str, form: str) -> Row:
    reached = f"{found.text(form)} {unit}".rstrip()
    return Row(what, f"at most {most:g} {unit}".rstrip(), reached, found.median <= most)


def about(command: str, broker_version: str) -> dict[str, str]:
    """Return when, how, where and on what this is measured."""
    versions = [f"{library} {metadata.version(library)}" for library in _LIBRARIES]
    python = f"Python {platform.python_version()}"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "versions": ", ".join(
            (python, broker_version, f"SQLite {sqlite3.sqlite_version}", *versions)
        ),
        "load before": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
    }


def forget_settings() -> None:
    """Remove from the environment what would override the settings of the relays measured."""
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        del os.environ[name]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
