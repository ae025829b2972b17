"""`/metrics` is what the library would write at once, made in portions."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from relay.errors import AUTHENTICATION_REASONS
from relay.observability.exposition import SAMPLES_IN_A_ROW, text_of
from relay.observability.metrics import (
    BrokerMetrics,
    DriftMetrics,
    IngressMetrics,
    OutboxMetrics,
    ProcessMetrics,
)
from tests.support.eventually import counting_turns


def registry_of(*counts: int) -> CollectorRegistry:
    """Return a registry of families with so many samples each."""
    registry = CollectorRegistry()
    for number, count in enumerate(counts):
        family = Gauge(f"family_{number}", 'Said "so"\nand \\ so.', ["of"], registry=registry)
        for label in range(count):
            family.labels(f'{label}\n"é"').set(label / 3)
    return registry


@pytest.mark.parametrize(
    "counts",
    [(), (0,), (1,), (99, 1, 1), (100,), (101,), (0, 250, 0), (60, 60, 60), (1000, 3, 1000)],
    ids=str,
)
async def test_portions_are_the_whole(counts: tuple[int, ...]) -> None:
    registry = registry_of(*counts)

    assert await text_of(registry) == generate_latest(registry)


@pytest.mark.parametrize("sources", [1, 12, 50])
async def test_so_are_those_of_a_receiver(sources: int) -> None:
    registry = CollectorRegistry()
    ProcessMetrics(registry)
    BrokerMetrics(registry).confirm_seconds.observe(0.02)
    OutboxMetrics(registry)
    DriftMetrics(registry).count("swiftsell", "message.created")
    ingress = IngressMetrics(registry)
    names = [f"source-{number}" for number in range(sources)]
    ingress.show_zeros(names)
    for number, name in enumerate(names):
        ingress.requests.counts[name, 200] += number
        ingress.last_seen.times[name] = 1.5
    ingress.last_seen.watch(dict.fromkeys(names, 60.0), 1.0)

    text = await text_of(registry)

    assert text == generate_latest(registry)
    assert text.count(b"relay_unauthenticated_total{") == sources * len(AUTHENTICATION_REASONS)


class _Created(Collector):
    """Counters that say when they began, which the text has under a head of their own."""

    def collect(self) -> list[Metric]:
        family = Metric("jobs", "Jobs.", "counter")
        for number in range(SAMPLES_IN_A_ROW):
            family.add_sample("jobs_total", {"of": str(number)}, 1.0)
            family.add_sample("jobs_created", {"of": str(number)}, 2.0)
        return [family]


async def test_samples_with_a_head_of_their_own_stay_together() -> None:
    registry = CollectorRegistry()
    registry.register(_Created())
    Counter("others", "Others.", registry=registry).inc()
    Histogram("seconds", "Seconds.", registry=registry).observe(1)

    assert await text_of(registry) == generate_latest(registry)


@pytest.mark.parametrize(
    ("counts", "least"), [((1000,), 9), ((60,) * 10, 9), ((1,) * 1000, 9), ((3, 4, 5), 0)]
)
async def test_others_have_their_turn_meanwhile(counts: tuple[int, ...], least: int) -> None:
    _, turns = await counting_turns(text_of(registry_of(*counts)))

    assert least <= turns <= least + 2
