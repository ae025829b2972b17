"""What a RabbitMQ node of the tests does not take, from one moment to the next."""

from deploy.local.broker import PrivateBroker
from tests.support.servers import administration

_DEFAULT_BYTES = 134_217_728


def limit_size(node: PrivateBroker, max_bytes: int = _DEFAULT_BYTES) -> None:
    """Set `max_message_size` without a restart. A channel keeps the one it was opened with."""
    node.evaluate(
        f"persistent_term:put(max_message_size, {max_bytes}),"
        f" application:set_env(rabbit, max_message_size, {max_bytes})"
    )


def permit_keys(node: PrivateBroker, exchange: str, pattern: str) -> None:
    """Permit only the routing keys that match pattern, in one exchange."""
    administration.set_topic_permissions(node, "guest", exchange, pattern, ".*")


def permit_all_keys(node: PrivateBroker, exchange: str = "") -> None:
    """Permit all routing keys, in one exchange or in all of them."""
    administration.clear_topic_permissions(node, "guest", *([exchange] if exchange else []))
