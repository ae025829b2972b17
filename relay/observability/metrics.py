"""What is counted, for Prometheus. Label values come from settings and fixed words only.

A vendor's own words never become a label: there is no bound on what a vendor may send.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from relay.events.event import TYPES
from relay.observability.tallies import Spread, Tally

_ANSWER_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_CONFIRM_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600)
_OTHER = "other"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per series that says when the process started


class BrokerMetrics:
    """The publishing side; without a registry, for a command that nobody watches."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self.confirmed = Counter(
            "relay_publish_confirms", "Messages RabbitMQ confirmed.", registry=registry
        )
        self.nacked = Counter(
            "relay_publish_nacks", "Messages RabbitMQ refused; sent again.", registry=registry
        )
        self.returned = Counter(
            "relay_publish_returns", "Messages without a route; sent again.", registry=registry
        )
        self.connects = Counter(
            "relay_broker_connects", "Connections made to RabbitMQ.", registry=registry
        )
        self.failures = Counter(
            "relay_broker_failures", "Connections lost or not made.", registry=registry
        )
        self.confirm_seconds = Spread(
            "relay_confirm_seconds",
            "From the arrival of a delivery to the confirm of its event.",
            _CONFIRM_BUCKETS_S,
            registry=registry,
        )
        self.state = Gauge(
            "relay_broker_state", "1 for the state the connection is in.", ["state"],
            registry=registry,
        )  # fmt: skip


class IngressMetrics:
    """The receiving side."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Tally(
            "relay_requests", "Requests answered.", ["source", "status"], registry=registry
        )
        self.events = Tally(
            "relay_events", "Events accepted.", ["vendor", "type"], registry=registry
        )
        self.handshakes = Counter(
            "relay_handshakes", "Authenticated calls without events.", ["source"],
            registry=registry,
        )  # fmt: skip
        self.unauthenticated = Counter(
            "relay_unauthenticated", "Requests that failed to authenticate.", ["source"],
            registry=registry,
        )  # fmt: skip
        self.quarantined = Counter(
            "relay_quarantined", "Deliveries quarantined.", ["source"], registry=registry
        )
        self.answer_seconds = Spread(
            "relay_answer_seconds",
            "From the end of a request's headers to its answer.",
            _ANSWER_BUCKETS_S,
            registry=registry,
        )

    def show(self, sources: Iterable[str]) -> None:
        """Show zeros for sources: only then is the first of what is alerted on an increase."""
        for name in sources:
            for it in (self.handshakes, self.unauthenticated, self.quarantined):
                it.labels(name)
            self.requests.counts[name, 503] += 0


class OutboxMetrics:
    """The outbox, read when asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge(
            "relay_outbox_messages", "Messages waiting in the outbox.", registry=registry
        )
        self.used_bytes = Gauge("relay_outbox_bytes", "Disk used by the outbox.", registry=registry)
        self.max_bytes = Gauge(
            "relay_outbox_max_bytes", "Disk the outbox may use.", registry=registry
        )
        self.oldest_age_s = Gauge(
            "relay_outbox_oldest_age_seconds", "Age of the oldest message.", registry=registry
        )


class WorkerMetrics:
    """The workers, as their supervisor sees them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge("relay_workers", "Workers that are up and answer.", registry=registry)


def event_type_label(event_type: str) -> str:
    """Return an event type as a label: itself if the vocabulary has it."""
    return event_type if event_type in TYPES else _OTHER
