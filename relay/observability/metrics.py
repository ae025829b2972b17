"""The relay's metrics for Prometheus. Label values come from the settings and from fixed words.

A vendor's own words never become a label: there is no bound on what a vendor may send.
"""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
)

from relay.errors import AUTHENTICATION_REASONS
from relay.events.event import TYPES
from relay.observability.last_seen import LastSeen
from relay.observability.tallies import Durations, Tally
from relay.process import log_writer

_ANSWER_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_CONFIRM_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600)
_OTHER = "other"

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series per series, with the process's start


class ProcessMetrics:
    """The process itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.internal_errors = Counter(
            "relay_internal_errors", "Errors that nobody caught.", registry=registry
        )
        registry.register(log_writer.dropped)


class BrokerMetrics:
    """The publishing side. A command, which nobody scrapes, passes no registry."""

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
        self.confirm_seconds = Durations(
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
        self.unauthenticated = Tally(
            "relay_unauthenticated", "Requests that failed to authenticate.",
            ["source", "reason"], registry=registry,
        )  # fmt: skip
        self.quarantined = Counter(
            "relay_quarantined", "Deliveries quarantined.", ["source"], registry=registry
        )
        self.last_seen = LastSeen(registry)
        self.ignored = Counter(
            "relay_ignored", "Events that the source's settings leave out.", ["source"],
            registry=registry,
        )  # fmt: skip
        self.answer_seconds = Durations(
            "relay_answer_seconds",
            "From the end of a request's headers to its answer.",
            _ANSWER_BUCKETS_S,
            registry=registry,
        )

    def show_zeros(self, sources: Iterable[str]) -> None:
        """Show zeros for sources: Prometheus sees no increase in a counter that starts at 1."""
        for name in sources:
            for counter in (self.handshakes, self.quarantined, self.ignored):
                counter.labels(name)
            for reason in AUTHENTICATION_REASONS:
                self.unauthenticated.counts.setdefault((name, reason), 0)
            self.requests.counts.setdefault((name, 503), 0)

    def count_unauthenticated(self, source: str, reason: str) -> None:
        """Count a refusal; a reason that is no word of ours counts as none."""
        self.unauthenticated.counts[source, authentication_reason(reason)] += 1


class DriftMetrics:
    """What vendors send that nobody knows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._unknown_fields = Counter(
            "relay_unknown_fields", "Events with fields that neither sample nor code knows.",
            ["vendor", "type"], registry=registry,
        )  # fmt: skip

    def count(self, vendor: str, event_type: str, events: int = 1) -> None:
        """Count events with such fields; 0 shows a zero."""
        self._unknown_fields.labels(vendor, event_type_label(event_type)).inc(events)


class OutboxMetrics:
    """The outbox. These are set at each scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge(
            "relay_outbox_messages", "Messages waiting in the outbox.", registry=registry
        )
        self.parked = Gauge(
            "relay_outbox_parked", "Messages RabbitMQ refuses; tried again alone.",
            registry=registry,
        )  # fmt: skip
        self.disk_bytes = Gauge(
            "relay_outbox_bytes", "Size on disk: the database and its log.", registry=registry
        )
        self.log_bytes = Gauge(
            "relay_outbox_log_bytes", "Size on disk of the database's log.", registry=registry
        )
        self.used_bytes = Gauge(
            "relay_outbox_used_bytes", "What is in use of the database.", registry=registry
        )
        self.max_bytes = Gauge(
            "relay_outbox_max_bytes", "What may be in use of the database.", registry=registry
        )
        self.blocked_checkpoints = Counter(
            "relay_outbox_blocked_checkpoints", "Times another process kept the log from emptying.",
            registry=registry,
        )  # fmt: skip
        self.oldest_age_s = Gauge(
            "relay_outbox_oldest_age_seconds", "Age of the oldest message.", registry=registry
        )


class WorkerMetrics:
    """The workers, as their supervisor sees them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.up = Gauge("relay_workers", "Workers that are up and answer.", registry=registry)


def authentication_reason(reason: str) -> str:
    """Return the reason of a refusal if it is one of ours, else that which says no more."""
    return reason if reason in AUTHENTICATION_REASONS else AUTHENTICATION_REASONS[0]


def event_type_label(event_type: str) -> str:
    """Return the label of an event type: itself if it is one of ours, else "other"."""
    return event_type if event_type in TYPES else _OTHER
