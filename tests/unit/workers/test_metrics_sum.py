"""The metrics of several workers summed up: what grows never shrinks, whatever becomes of them."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from relay.observability.metrics import BrokerMetrics, IngressMetrics, OutboxMetrics
from relay.workers.metrics_sum import MetricsSum


class Shown:
    """What one run of a worker has counted, with the metrics that workers really have."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ingress = IngressMetrics(self.registry)
        self.outbox = OutboxMetrics(self.registry)
        self.broker = BrokerMetrics(self.registry)

    @property
    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def total() -> MetricsSum:
    return MetricsSum()


def value(total: MetricsSum, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(total)
    return registry.get_sample_value(name, labels)


def lines(text: str) -> Iterator[str]:
    """Yield the parts of the lines that do not depend on what was counted."""
    for line in text.splitlines():
        yield line if line.startswith("#") else line.rpartition(" ")[0]


def test_each_sample_is_summed_by_its_labels(total: MetricsSum) -> None:
    one, two = Shown(), Shown()
    one.ingress.requests.counts["a", 200] += 3
    two.ingress.requests.counts["a", 200] += 4
    two.ingress.requests.counts["b", 503] += 1

    total.update(0, 100, one.text)
    total.update(1, 101, two.text)

    assert value(total, "relay_requests_total", source="a", status="200") == 7
    assert value(total, "relay_requests_total", source="b", status="503") == 1


def test_a_histogram_is_summed_bucket_by_bucket(total: MetricsSum) -> None:
    one, two = Shown(), Shown()
    one.ingress.answer_seconds.observe(0.002)
    two.ingress.answer_seconds.observe(0.2)

    total.update(0, 100, one.text)
    total.update(1, 101, two.text)

    counts = [
        value(total, "relay_answer_seconds_bucket", le=le) for le in ("0.001", "0.0025", "+Inf")
    ]
    assert counts == [0, 1, 2]
    assert value(total, "relay_answer_seconds_count") == 2
    assert value(total, "relay_answer_seconds_sum") == pytest.approx(0.202)


def test_gauges_are_summed_but_an_age_is_the_greatest(total: MetricsSum) -> None:
    for worker, age_s in enumerate((5, 20, 0)):
        shown = Shown()
        shown.outbox.depth.set(10)
        shown.outbox.oldest_age_s.set(age_s)
        total.update(worker, worker, shown.text)

    assert value(total, "relay_outbox_messages") == 30
    assert value(total, "relay_outbox_oldest_age_seconds") == 20


def test_one_worker_is_shown_as_it_shows_itself(total: MetricsSum) -> None:
    shown = Shown()
    shown.ingress.requests.counts['with "quotes" and \\ and \n', 200] += 1
    shown.ingress.answer_seconds.observe(0.1)
    shown.broker.state.labels("connected").set(1)
    registry = CollectorRegistry()
    registry.register(total)

    total.update(0, 100, shown.text)

    assert generate_latest(registry).decode().splitlines() == shown.text.splitlines()


def test_counters_do_not_go_backwards_when_a_worker_begins_anew(total: MetricsSum) -> None:
    seen: list[float | None] = []
    for pid, count in ((100, 3), (100, 5), (101, 0), (101, 1), (102, 1)):
        shown = Shown()
        shown.ingress.answer_seconds.observe(1)
        shown.outbox.depth.set(count)
        shown.broker.confirmed.inc(count)

        total.update(0, pid, shown.text)

        seen.append(value(total, "relay_publish_confirms_total"))
        assert value(total, "relay_outbox_messages") == count
    assert seen == [3, 5, 5, 6, 7]
    assert value(total, "relay_answer_seconds_count") == 3


def test_a_worker_that_does_not_answer_keeps_its_counters_and_loses_its_gauges(
    total: MetricsSum,
) -> None:
    one, two = Shown(), Shown()
    for shown in (one, two):
        shown.broker.confirmed.inc(2)
        shown.outbox.depth.set(2)
    total.update(0, 100, one.text)
    total.update(1, 101, two.text)

    total.drop_gauges(1)
    total.drop_gauges(2)  # of which nothing is known

    assert value(total, "relay_publish_confirms_total") == 4
    assert value(total, "relay_outbox_messages") == 2
    total.update(1, 102, Shown().text)
    assert value(total, "relay_publish_confirms_total") == 4


def test_the_names_and_their_descriptions_stay(total: MetricsSum) -> None:
    one, two = Shown(), Shown()
    registry = CollectorRegistry()
    registry.register(total)

    total.update(0, 100, one.text)
    total.update(1, 101, two.text)

    assert list(lines(generate_latest(registry).decode())) == list(lines(one.text))


def test_a_source_was_seen_when_the_last_worker_saw_it_even_one_that_died(
    total: MetricsSum,
) -> None:
    one, two = Shown(), Shown()
    for shown, since, seen in ((one, 10.0, 300.0), (two, 20.0, 200.0)):
        shown.ingress.last_seen.watch({"acme": 60}, since)
        shown.ingress.last_seen.times["acme"] = seen
    total.update(0, 100, one.text)
    total.update(1, 101, two.text)
    name = "relay_source_last_seen_timestamp_seconds"
    assert value(total, name, source="acme") == 300.0
    assert value(total, "relay_source_watched_since_timestamp_seconds", source="acme") == 10.0
    assert value(total, "relay_source_expect_every_seconds", source="acme") == 60.0

    total.drop_gauges(0)
    assert value(total, name, source="acme") == 300.0

    restarted = Shown()
    restarted.ingress.last_seen.watch({"acme": 60}, 400.0)
    total.update(0, 102, restarted.text)
    assert value(total, name, source="acme") == 300.0
    assert value(total, "relay_source_watched_since_timestamp_seconds", source="acme") == 20.0
