"""Counters and histograms of one thread: plain numbers until Prometheus asks for them.

The library's own take a lock for each number, and are counted up several times per event.
"""

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[object, ...]


class Tally(Collector):
    """A counter by labels, to be counted up as `tally.counts[label, ...] += 1`.

    Args:
        name: without `_total`.
        documentation: for its HELP line.
        label_names: what the labels are of.
        registry: where it is shown; None for nowhere.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        label_names: Sequence[str],
        *,
        registry: CollectorRegistry | None,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._label_names = label_names
        self.counts: Counter[Labels] = Counter()
        if registry:
            registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._label_names)
        for labels, count in list(self.counts.items()):
            family.add_metric(list(map(str, labels)), count)
        yield family


class Spread(Collector):
    """A histogram without labels.

    Args:
        name: with its unit.
        documentation: for its HELP line.
        buckets: upper bounds, rising.
        registry: where it is shown; None for nowhere.
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
        self._sum = 0.0
        if registry:
            registry.register(self)

    def observe(self, value: float) -> None:
        """Count a value into its bucket; a negative one, of a clock that was set back, as 0."""
        self._counts[bisect_left(self._bounds, value)] += 1
        if value > 0:
            self._sum += value

    def collect(self) -> Iterator[Metric]:
        """Yield the buckets, each with all below it, as Prometheus wants them."""
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        buckets = list(zip(names, map(float, itertools.accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(
            self._name, self._documentation, buckets=buckets, sum_value=self._sum
        )
