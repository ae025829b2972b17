"""The last two hours, in memory: what the console saw when it asked. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.console.watching.scrape import Change, SourceCounts

KEPT_S = 7200.0
POLL_INTERVAL_S = 5.0
_MAX_SAMPLES = int(KEPT_S / POLL_INTERVAL_S)
_MINUTE_S = 60
_MAX_MINUTES = 60


class Sample(NamedTuple):
    """What one look at all parts found; None where it is not known."""

    at: float
    accepted: float | None
    refused: float | None
    p50_s: float | None
    p99_s: float | None
    outbox: float | None
    outbox_age_s: float | None
    quarantine: float | None
    unrouted: float | None
    dead: float | None


class SourceRow(NamedTuple):
    """What is known of a source: when it was last seen, and its requests in the last hour."""

    last_seen: float | None
    hour: SourceCounts
    per_minute: Sequence[float]


class PolledHistory:
    """Samples, and what became of each source's requests by the minute."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=_MAX_SAMPLES)
        self._minutes: deque[tuple[int, dict[str, SourceCounts]]] = deque(maxlen=_MAX_MINUTES)
        self._last_seen: dict[str, float] = {}

    def add(self, sample: Sample) -> None:
        """Add a sample, the latest."""
        self.samples.append(sample)

    def count(self, at: float, change: Change) -> None:
        """Count what happened to sources since the look before."""
        minute = int(at // _MINUTE_S)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, {}))
        counts = self._minutes[-1][1]
        for name, new in change.sources.items():
            counts.setdefault(name, SourceCounts()).add(new)
            if new.accepted or new.quarantined:
                self.see(name, at)

    def see(self, source: str, at: float) -> None:
        """Note that a source was seen."""
        self._last_seen[source] = max(at, self._last_seen.get(source, 0.0))

    def sources(self, now: float) -> Mapping[str, SourceRow]:
        """Return what is known of each source that was heard of."""
        last = int(now // _MINUTE_S)
        first = last - _MAX_MINUTES + 1
        rows: dict[str, tuple[SourceCounts, list[float]]] = {}
        for minute, counts in self._minutes:
            if not first <= minute <= last:  # after the clock was set back, some are to come
                continue
            for name, new in counts.items():
                hour, per_minute = rows.setdefault(name, (SourceCounts(), [0.0] * _MAX_MINUTES))
                hour.add(new)
                per_minute[minute - first] += new.total
        for name in self._last_seen:
            rows.setdefault(name, (SourceCounts(), [0.0] * _MAX_MINUTES))
        return {
            name: SourceRow(self._last_seen.get(name), hour, per_minute)
            for name, (hour, per_minute) in rows.items()
        }
