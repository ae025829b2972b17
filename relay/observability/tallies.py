"""Counters and histograms of the hot path: plain numbers until Prometheus asks for them.

The library's own take a lock for each number, which for what is counted several times per event
adds up to 2 % of its CPU. These belong to one thread.
"""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """A counter by labels: `tally.counts[label, ...] += 1`.

    Args:
        name: without `_total`.
        documentation: for its HELP line.
        labels: their names.
        registry: where it is shown.
    """

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self.counts: Counter[tuple[object, ...]] = Counter()
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in list(self.counts.items()):
            family.add_metric(list(map(str, labels)), count)
        yield family


class Durations(Collector):
    """A histogram of seconds, without labels.

    Args:
        name: with its unit.
        documentation: for its HELP line.
        buckets: upper bounds, rising.
        registry: where it is shown, if anywhere.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[float],
        *,
        registry: CollectorRegistry | None,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum_s = 0.0
        if registry:
            registry.register(self)

    def observe(self, seconds: float) -> None:
        """Count a duration; a negative one, of a clock that was set back, as 0."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        if seconds > 0:
            self._sum_s += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the buckets, each with all below it."""
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        buckets = list(zip(names, map(float, itertools.accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(
            self._name, self._documentation, buckets=buckets, sum_value=self._sum_s
        )
