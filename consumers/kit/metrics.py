"""A service's metrics. The consumer is a label, since one process may run several."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_HANDLER_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)
_DELAY_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 600, 3600, 86_400)
_OUTCOMES = ("done", "duplicate", "retried", "dead", "put_back")


class ConsumerMetrics:
    """The metrics of all consumers of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "relay_consumer_events", "Events dealt with, by what became of them.",
            ["consumer", "outcome"], registry=registry,
        )  # fmt: skip
        self.handler_seconds = Histogram(
            "relay_consumer_handler_seconds", "Time a handler took, for an event or a batch.",
            ["consumer"], buckets=_HANDLER_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.delay_seconds = Histogram(
            "relay_consumer_delay_seconds", "From the relay's clock to the event being handled.",
            ["consumer"], buckets=_DELAY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.in_hand = Gauge(
            "relay_consumer_in_hand", "Messages delivered and not answered.",
            ["consumer"], registry=registry,
        )  # fmt: skip
        self.is_consuming = Gauge(
            "relay_consumer_connected", "1 while the queue is consumed.",
            ["consumer"], registry=registry,
        )  # fmt: skip
        self.is_waiting = Gauge(
            "relay_consumer_waiting", "1 while something the handler needs is down.",
            ["consumer"], registry=registry,
        )  # fmt: skip

    def of(self, consumer: str) -> "OneConsumerMetrics":
        """Return the metrics of one consumer."""
        return OneConsumerMetrics(self, consumer)


class OneConsumerMetrics:
    """The metrics of one consumer, looked up once, since a look-up costs more than counting."""

    def __init__(self, metrics: ConsumerMetrics, consumer: str) -> None:
        self.outcomes = {outcome: metrics.events.labels(consumer, outcome) for outcome in _OUTCOMES}
        self.handler_seconds = metrics.handler_seconds.labels(consumer)
        self.delay_seconds = metrics.delay_seconds.labels(consumer)
        self.in_hand = metrics.in_hand.labels(consumer)
        self.is_consuming = metrics.is_consuming.labels(consumer)
        self.is_waiting = metrics.is_waiting.labels(consumer)
