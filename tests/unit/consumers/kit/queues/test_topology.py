"""A service's queues: their names, and that none of them may lose a message."""

import pytest

from consumers.kit.queues import topology
from relay.events.topology import UNLIMITED_DELIVERIES, Queue
from tests.support.rows import for_each_row

DELAYS_S = [1, 10, 60, 600]


def queues(**changed: object) -> dict[str, Queue]:
    arguments = {"retry_delays_s": DELAYS_S, "dead_max_length": 7} | changed
    declared = topology.topology("crm-sync", **arguments)  # type: ignore[arg-type]  as given
    return {queue.name: queue for queue in declared.queues}


@for_each_row(
    ("delay_s", "name"),
    [
        (1, "crm-sync.retry.1s"),
        (600, "crm-sync.retry.600s"),
        (86_400, "crm-sync.retry.86400s"),
        (0.25, "crm-sync.retry.250ms"),
        (1.5, "crm-sync.retry.1500ms"),
        (0.001, "crm-sync.retry.1ms"),
        (2.0, "crm-sync.retry.2s"),
    ],
)
def test_a_retry_queue_is_named_after_its_delay(delay_s: float, name: str) -> None:
    assert topology.retry_queue("crm-sync", delay_s) == name


def test_a_service_has_a_queue_for_each_thing_that_can_become_of_an_event() -> None:
    assert list(queues()) == [
        *("crm-sync", "crm-sync.dead", "crm-sync.bindings"),
        *("crm-sync.retry.1s", "crm-sync.retry.10s", "crm-sync.retry.60s", "crm-sync.retry.600s"),
    ]


def test_what_is_moved_goes_through_an_exchange_of_the_service() -> None:
    found = topology.topology("crm-sync", retry_delays_s=DELAYS_S, dead_max_length=7)

    assert [(exchange.name, exchange.kind) for exchange in found.exchanges] == [
        ("crm-sync.retry", "direct")
    ]
    assert {binding.exchange for binding in found.bindings} == {"crm-sync.retry"}
    assert [(binding.pattern, binding.to) for binding in found.bindings] == [
        (queue, queue) for queue in queues()
    ]
    assert {topology.exchange_of(queue) for queue in queues()} == {"crm-sync.retry"}


def test_equal_delays_share_a_queue() -> None:
    names = list(queues(retry_delays_s=[10, 1, 10.0]))

    assert names[3:] == ["crm-sync.retry.1s", "crm-sync.retry.10s"]


def test_without_delays_there_is_no_retry_queue() -> None:
    assert list(queues(retry_delays_s=[])) == ["crm-sync", "crm-sync.dead", "crm-sync.bindings"]


def test_every_queue_is_replicated_and_its_messages_are() -> None:
    assert {queue.arguments["x-queue-type"] for queue in queues().values()} == {"quorum"}


@pytest.mark.parametrize(
    ("name", "goes_to"),
    [
        ("crm-sync", "crm-sync.dead"),
        *[(topology.retry_queue("crm-sync", delay_s), "crm-sync") for delay_s in DELAYS_S],
    ],
)
def test_what_the_broker_moves_by_itself_it_moves_at_least_once(name: str, goes_to: str) -> None:
    arguments = queues()[name].arguments

    assert arguments["x-dead-letter-exchange"] == "crm-sync.retry"
    assert arguments["x-dead-letter-routing-key"] == goes_to
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"  # or RabbitMQ falls back to at-most-once


def test_a_retry_queue_holds_a_message_as_long_as_its_name_says() -> None:
    found = queues(retry_delays_s=[0.25, 600])

    assert found["crm-sync.retry.250ms"].arguments["x-message-ttl"] == 250
    assert found["crm-sync.retry.600s"].arguments["x-message-ttl"] == 600_000


def test_the_delivery_limit_is_the_same_on_every_version() -> None:
    found = queues()

    assert found["crm-sync"].arguments["x-delivery-limit"] == topology.MAX_DELIVERIES
    for name in ("crm-sync.dead", "crm-sync.bindings"):  # looking at them must drop nothing
        assert found[name].arguments["x-delivery-limit"] == UNLIMITED_DELIVERIES


def test_a_full_dead_letter_queue_refuses_rather_than_lose_the_oldest() -> None:
    arguments = queues()["crm-sync.dead"].arguments

    assert (arguments["x-max-length"], arguments["x-overflow"]) == (7, "reject-publish")
