"""The metrics of several workers as those of one receiver, from what they show Prometheus.

All are sums, except for ages and for what all workers share, where it is the maximum, and for
starts, where it is the minimum. Counters, histograms and sightings never go backwards: those of a
worker that died or does not answer keep their last scraped value.
"""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_MONOTONIC = {"counter", "histogram"}
_SIGHTINGS = {"relay_source_last_seen_timestamp_seconds"}
_STARTS = {"relay_source_watched_since_timestamp_seconds"}
_MAXIMA = {"relay_outbox_oldest_age_seconds", "relay_source_expect_every_seconds", *_SIGHTINGS}


class _Key(NamedTuple):
    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]


_Samples = dict[_Key, float]


class _Scrape(NamedTuple):
    pid: int
    samples: _Samples


class MetricsSum(Collector):
    """Each sample, aggregated over all workers."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._scrapes: dict[int, _Scrape] = {}
        self._of_the_dead: dict[_Key, float] = {}

    def update(self, worker: int, pid: int, text: str) -> None:
        """Take what a worker shows now. Another pid than last time means that it was restarted."""
        samples: _Samples = {}
        for family in text_string_to_metric_families(text):
            self._families[family.name] = family
            for sample in family.samples:
                key = _Key(family.name, sample.name, tuple(sample.labels.items()))
                samples[key] = sample.value
        last = self._scrapes.get(worker)
        if last and last.pid != pid:
            for key, value in self._monotonic(last.samples).items():
                self._of_the_dead[key] = _combined(key, self._of_the_dead.get(key), value)
        self._scrapes[worker] = _Scrape(pid, samples)

    def drop_gauges(self, worker: int) -> None:
        """Forget the gauges of a worker that does not answer."""
        if last := self._scrapes.get(worker):
            self._scrapes[worker] = last._replace(samples=self._monotonic(last.samples))

    def _monotonic(self, samples: _Samples) -> _Samples:
        return {
            key: value
            for key, value in samples.items()
            if self._type_of(key) in _MONOTONIC or key.family in _SIGHTINGS
        }

    def _type_of(self, key: _Key) -> str:
        return self._families[key.family].type

    def collect(self) -> Iterator[Metric]:
        """Yield all families, in the order in which the workers show them."""
        values = dict(self._of_the_dead)
        for _, samples in self._scrapes.values():
            for key, value in samples.items():
                values[key] = _combined(key, values.get(key), value)
        summed = {
            name: Metric(name, family.documentation, family.type)
            for name, family in self._families.items()
        }
        for key, value in values.items():
            summed[key.family].add_sample(key.sample, dict(key.labels), value)
        yield from summed.values()


def _combined(key: _Key, total: float | None, value: float) -> float:
    """Return the total of several workers with that of one more."""
    if total is None:
        return value
    if key.family in _STARTS:
        return min(total, value)
    return max(total, value) if key.family in _MAXIMA else total + value
