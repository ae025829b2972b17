"""What `/metrics` of a receiver says, and what happened between two looks at it."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_LAST_SEEN = "relay_source_last_seen_timestamp_seconds"
_WANTED = (
    "relay_requests",
    "relay_quarantined",
    "relay_unauthenticated",
    "relay_answer_seconds",
    _LAST_SEEN,
)
_LABELS = {
    "relay_requests_total": {"source", "status"},
    "relay_quarantined_total": {"source"},
    "relay_unauthenticated_total": {"source"},
    "relay_answer_seconds_bucket": {"le"},
}
"""The labels that are looked at; without one of them, it is not our metric."""
_REFUSED_FROM = 400
_MAX_SOURCES = 2000
_WRONG_SECRET = {"signature_wrong", "signature_malformed", "token_wrong"}

Labels = tuple[tuple[str, str], ...]
MetricValues = Mapping[str, Mapping[Labels, float]]
"""The values of one receiver: by name, then by labels."""


def parse(text: str) -> MetricValues:
    """Read the text of `/metrics`; only what the console shows, and only finite numbers.

    Raises:
        ValueError: it is no such text, or a label is missing.
    """
    lines = [
        line
        for line in text.splitlines(keepends=True)
        if line.removeprefix("# TYPE ").removeprefix("# HELP ").startswith(_WANTED)
    ]
    values: defaultdict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families("".join(lines)):
        for sample in family.samples:
            if missing := _LABELS.get(sample.name, set()) - sample.labels.keys():
                raise ValueError(f"{sample.name} lacks {', '.join(sorted(missing))}")
            if math.isfinite(sample.value):
                values[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return values


def last_seen(values: MetricValues) -> Mapping[str, float]:
    """Return when sources were last heard of, in seconds since 1970; of up to 2,000 of them."""
    times = itertools.islice(values.get(_LAST_SEEN, {}).items(), _MAX_SOURCES)
    return {dict(labels).get("source", ""): at for labels, at in times}


@dataclass(slots=True, kw_only=True)
class SourceCounts:
    """What became of a source's requests; `wrong` are those with a wrong secret."""

    accepted: float = 0
    quarantined: float = 0
    refused: float = 0
    wrong: float = 0

    def add(self, other: "SourceCounts") -> None:
        """Add other counts."""
        self.accepted += other.accepted
        self.quarantined += other.quarantined
        self.refused += other.refused
        self.wrong += other.wrong

    @property
    def total(self) -> float:
        """All requests."""
        return self.accepted + self.quarantined + self.refused


@dataclass(slots=True, kw_only=True)
class Change:
    """What happened between two looks, at all receivers together."""

    sources: dict[str, SourceCounts] = field(default_factory=dict)
    buckets: defaultdict[float, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, before: MetricValues | None, now: MetricValues) -> None:
        """Add what happened at one receiver. A counter that is smaller than before began anew."""
        if before is None:
            return
        for labels, count in _increases(before, now, "relay_requests_total"):
            counts = self._counts(labels["source"])
            if int(labels["status"]) >= _REFUSED_FROM:
                counts.refused += count
            else:
                counts.accepted += count
        for labels, count in _increases(before, now, "relay_quarantined_total"):
            counts = self._counts(labels["source"])
            counts.quarantined += count
            counts.accepted -= count
        for labels, count in _increases(before, now, "relay_unauthenticated_total"):
            if labels.get("reason") in _WRONG_SECRET:
                self._counts(labels["source"]).wrong += count
        for labels, count in _increases(before, now, "relay_answer_seconds_bucket"):
            self.buckets[float(labels["le"])] += count

    def _counts(self, source: str) -> SourceCounts:
        name = source if len(self.sources) < _MAX_SOURCES or source in self.sources else "others"
        return self.sources.setdefault(name, SourceCounts())

    @property
    def accepted(self) -> float:
        """Requests that were answered with success."""
        return sum(counts.accepted + counts.quarantined for counts in self.sources.values())

    @property
    def refused(self) -> float:
        """All others."""
        return sum(counts.refused for counts in self.sources.values())

    def quantile_s(self, share: float) -> float | None:
        """Return the time in which this share was answered; None if nothing was."""
        return quantile(self.buckets, share)


def _increases(
    before: MetricValues, now: MetricValues, name: str
) -> Iterable[tuple[Mapping[str, str], float]]:
    earlier = before.get(name, {})
    for labels, value in now.get(name, {}).items():
        past = earlier.get(labels, 0.0)
        if increase := value - past if value >= past else value:
            yield dict(labels), increase


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of a histogram, interpolated within its bucket, as Prometheus does.

    Args:
        buckets: how many took at most so many seconds.
        share: 0.5 for the median.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    wanted = share * buckets[bounds[-1]]
    for lower, upper in itertools.pairwise([0.0, *bounds]):
        if buckets[upper] >= wanted:
            if upper == float("inf"):
                return lower
            below = buckets.get(lower, 0.0)
            return lower + (upper - lower) * (wanted - below) / max(buckets[upper] - below, 1)
    return bounds[-1]
