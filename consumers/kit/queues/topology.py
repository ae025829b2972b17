"""A service's queues: their names, and what they are declared with. Pure.

    webhooks --patterns--> SERVICE -- handler --> done
                              ^          |
                       TTL    |          +-- failed ----> SERVICE.retry.<delay>
                              +---------------------------------+
                                         +-- given up --> SERVICE.dead

The kit moves messages through the exchange SERVICE.retry, which routes by queue name: a right to
use the broker's default exchange would be one to write into any queue.

All are quorum queues. The broker dead-letters at least once: its default may lose messages
(https://www.rabbitmq.com/docs/quorum-queues#dead-lettering). That needs `reject-publish`.
"""

from collections.abc import Iterable
from typing import Any

from relay.events.topology import UNLIMITED_DELIVERIES, Binding, Exchange, Queue, Topology

MAX_DELIVERIES = 20
"""How often a message may be delivered without an acknowledgement; perhaps it kills its consumer.
It then goes to the dead-letter queue. RabbitMQ 4 has this limit by default, 3.x none at all."""


def dead_queue(service: str) -> str:
    """Return the queue of the messages that were given up."""
    return f"{service}.dead"


def retry_queue(service: str, delay_s: float) -> str:
    """Return the queue in which a message waits for its next attempt.

    The delay is in the name, since a queue's TTL cannot be changed: another delay, another queue.
    """
    delay_ms = round(delay_s * 1000)
    delay = f"{delay_ms}ms" if delay_ms % 1000 else f"{delay_ms // 1000}s"
    return f"{service}.retry.{delay}"


def exchange(service: str) -> str:
    """Return the exchange that puts messages into a queue of the service, by the queue's name."""
    return f"{service}.retry"


def exchange_of(queue: str) -> str:
    """Return the exchange in front of a service's queue; no service has a dot in its name."""
    return exchange(queue.partition(".")[0])


def bindings_queue(service: str) -> str:
    """Return the queue that remembers the service's bindings; see bindings.py."""
    return f"{service}.bindings"


def topology(
    service: str,
    *,
    retry_delays_s: Iterable[float],
    dead_max_length: int,
    is_single_active: bool = False,
) -> Topology:
    """Return the queues of a service, and the exchange in front of them.

    The bindings to the events are not among them: they change.

    Args:
        service: its name.
        retry_delays_s: how long a message waits before each further attempt.
        dead_max_length: messages the dead-letter queue holds; it then refuses, and the service
            waits, rather than lose one.
        is_single_active: whether only one of several instances gets messages at a time.
    """
    dead = dead_queue(service)
    own = _dead_lettered_to(service, dead) | {"x-delivery-limit": MAX_DELIVERIES}
    if is_single_active:
        own["x-single-active-consumer"] = True
    queues = (
        _queue(service, own),
        _queue(
            dead,
            {
                "x-max-length": dead_max_length,
                "x-overflow": "reject-publish",
                "x-delivery-limit": UNLIMITED_DELIVERIES,
            },
        ),
        _queue(bindings_queue(service), {"x-delivery-limit": UNLIMITED_DELIVERIES}),
        *[
            _queue(
                retry_queue(service, delay_s),
                _dead_lettered_to(service, service) | {"x-message-ttl": round(delay_s * 1000)},
            )
            for delay_s in sorted(set(retry_delays_s))
        ],
    )
    name = exchange(service)
    return Topology(
        exchanges=(Exchange(name=name, kind="direct"),),
        queues=queues,
        bindings=tuple(
            [Binding(exchange=name, pattern=queue.name, to=queue.name) for queue in queues]
        ),
    )


def _dead_lettered_to(service: str, queue: str) -> dict[str, Any]:
    return {
        "x-dead-letter-exchange": exchange(service),
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _queue(name: str, arguments: dict[str, Any]) -> Queue:
    return Queue(name=name, arguments={"x-queue-type": "quorum"} | arguments)
