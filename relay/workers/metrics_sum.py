"""The metrics of several workers as those of one receiver. It reads what they show Prometheus.

Counters and histograms never go backwards: what a worker had counted when it was last asked stays
in the sum, after its end and while it does not answer.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_GROWING = {"counter", "histogram"}
_GREATEST = {"relay_outbox_oldest_age_seconds"}
"""Gauges whose sum would mean nothing."""


class _Key(NamedTuple):
    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]


_Samples = dict[_Key, float]


class _Shown(NamedTuple):
    pid: int
    samples: _Samples


class MetricsSum(Collector):
    """Each sample summed over all workers."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._shown: dict[int, _Shown] = {}
        self._ended: defaultdict[_Key, float] = defaultdict(float)

    def note(self, worker: int, pid: int, text: str) -> None:
        """Note what a worker shows now; another pid than last time means that it began anew."""
        samples: _Samples = {}
        for family in text_string_to_metric_families(text):
            self._families[family.name] = family
            for it in family.samples:
                samples[_Key(family.name, it.name, tuple(it.labels.items()))] = it.value
        last = self._shown.get(worker)
        if last and last.pid != pid:
            for key, value in self._growing(last.samples).items():
                self._ended[key] += value
        self._shown[worker] = _Shown(pid, samples)

    def leave_out(self, worker: int) -> None:
        """Forget the gauges of a worker that does not answer."""
        if last := self._shown.get(worker):
            self._shown[worker] = last._replace(samples=self._growing(last.samples))

    def _growing(self, samples: _Samples) -> _Samples:
        return {key: it for key, it in samples.items() if self._type_of(key) in _GROWING}

    def _type_of(self, key: _Key) -> str:
        return self._families[key.family].type

    def collect(self) -> Iterator[Metric]:
        """Yield all families, in the order in which the workers show them."""
        values = dict(self._ended)
        for _, samples in self._shown.values():
            for key, value in samples.items():
                if key.family in _GREATEST:
                    values[key] = max(values.get(key, value), value)
                else:
                    values[key] = values.get(key, 0.0) + value
        summed = {
            name: Metric(name, it.documentation, it.type) for name, it in self._families.items()
        }
        for key, value in values.items():
            summed[key.family].add_sample(key.sample, dict(key.labels), value)
        yield from summed.values()
