"""When each source was last heard of, and which of those that are watched are silent.

Kept in memory: a process that starts knows of no earlier request. So it never says of itself that a
source is silent before it has waited as long as that source may take; the alert looks further back,
at what Prometheus remembers of earlier processes and of other receivers.
"""

from collections.abc import Iterator, Mapping
from typing import TypedDict

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.events.timestamps import from_clock


class SilentSource(TypedDict):
    """What `/readyz` says of a source that is silent.

    Args:
        last_seen: RFC 3339 UTC, or None if this process has not heard of it.
        expect_every_s: as in its settings.
    """

    last_seen: str | None
    expect_every_s: float


class LastSeen(Collector):
    """The time of the latest authenticated request of each source.

    `times[source] = now` is all that a request costs; both are in seconds since 1970.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.times: dict[str, float] = {}
        self._expected: Mapping[str, float] = {}
        self._since: dict[str, float] = {}
        registry.register(self)

    def watch(self, expected: Mapping[str, float], now: float) -> None:
        """Take the sources that there are, and in how many seconds each should be heard of.

        Args:
            expected: by name; 0 for a source that is not watched.
            now: seconds since 1970; a source that was watched before goes on being so.
        """
        self._expected = expected
        watched = [name for name, expect_every_s in expected.items() if expect_every_s]
        self._since = {name: self._since.get(name, now) for name in watched}

    def silent(self, now: float) -> dict[str, SilentSource]:
        """Return the watched sources that were not heard of in time, by name."""
        found: dict[str, SilentSource] = {}
        for name, since in self._since.items():
            seen, expect_every_s = self.times.get(name), self._expected[name]
            if now - max(seen or since, since) > expect_every_s:
                last_seen = None if seen is None else from_clock(seen)
                found[name] = {"last_seen": last_seen, "expect_every_s": expect_every_s}
        return found

    def collect(self) -> Iterator[Metric]:
        """Yield when each source was seen, and of watched ones since when and how often."""
        times = {name: self.times[name] for name in self._expected if name in self.times}
        expected = {name: self._expected[name] for name in self._since}
        for name, documentation, values in (
            ("last_seen_timestamp_seconds", "The latest authenticated request.", times),
            ("watched_since_timestamp_seconds", "Since when a source is watched.", self._since),
            ("expect_every_seconds", "In what time a source should be seen.", expected),
        ):
            family = GaugeMetricFamily(f"relay_source_{name}", documentation, labels=["source"])
            for source, value in values.items():
                family.add_metric([source], value)
            yield family


def silent_everywhere(
    processes: list[Mapping[str, SilentSource]],
) -> dict[str, SilentSource]:
    """Return the sources that are silent in each of several processes that share a port."""
    if not processes:
        return {}
    first, *others = processes
    return {
        name: max((each[name] for each in processes), key=lambda source: source["last_seen"] or "")
        for name in first
        if all(name in other for other in others)
    }
