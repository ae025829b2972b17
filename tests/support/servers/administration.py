"""What an operator does to a RabbitMQ node of the tests, without another Erlang for each call.

Each function calls what the command of `rabbitmqctl` with its name calls, in the node itself.
"""

from deploy.local.broker import BrokerError, PrivateBroker

_ACTING_USER = '<<"tests">>'


def add_user(node: PrivateBroker, user: str, password: str) -> None:
    _of_users(node, "add_user", user, password)


def change_password(node: PrivateBroker, user: str, password: str) -> None:
    _of_users(node, "change_password", user, password)


def delete_user(node: PrivateBroker, user: str) -> None:
    _of_users(node, "delete_user", user)


def set_permissions(
    node: PrivateBroker, user: str, rights: tuple[str, str, str], vhost: str = "/"
) -> None:
    """Let a user configure, write and read what these patterns match."""
    _of_users(node, "set_permissions", user, vhost, *rights)


def clear_permissions(node: PrivateBroker, user: str) -> None:
    _of_users(node, "clear_permissions", user, "/")


def set_topic_permissions(
    node: PrivateBroker, user: str, exchange: str, writing: str, reading: str
) -> None:
    """Permit routing keys that match these patterns in one exchange."""
    _of_users(node, "set_topic_permissions", user, "/", exchange, writing, reading)


def clear_topic_permissions(node: PrivateBroker, user: str, *exchange: str) -> None:
    """Permit all routing keys, in one exchange or in all of them."""
    _of_users(node, "clear_topic_permissions", user, "/", *exchange)


def set_user_limits(node: PrivateBroker, user: str, limits: str) -> None:
    _of_users(node, "set_user_limits", user, limits)


def clear_user_limits(node: PrivateBroker, user: str, limit: str) -> None:
    _of_users(node, "clear_user_limits", user, limit)


def add_vhost(node: PrivateBroker, vhost: str) -> None:
    _call(node, f"rabbit_vhost:add({_binary(vhost)}, {_ACTING_USER})")


def delete_vhost(node: PrivateBroker, vhost: str) -> None:
    _call(node, f"rabbit_vhost:delete({_binary(vhost)}, {_ACTING_USER})")


def set_vhost_limits(node: PrivateBroker, vhost: str, limits: str) -> None:
    arguments = f"{_binary(vhost)}, {_binary(limits)}, {_ACTING_USER}"
    _call(node, f"rabbit_vhost_limit:parse_set({arguments})")


def set_vm_memory_high_watermark(node: PrivateBroker, share: float) -> None:
    _call(node, f"vm_memory_monitor:set_vm_memory_high_watermark({share:.9f})")


def set_disk_free_limit(node: PrivateBroker, limit: str) -> None:
    _call(node, f'rabbit_disk_monitor:set_disk_free_limit("{limit}")')


def names_on(node: PrivateBroker) -> str:
    """Return the names of all exchanges and queues, as Erlang prints them, in a fixed order."""
    lists = "rabbit_exchange:list_names() ++ rabbit_amqqueue:list_names()"
    return node.evaluate(f"lists:usort({lists})")


def _of_users(node: PrivateBroker, function: str, *arguments: str) -> None:
    terms = ", ".join([*map(_binary, arguments), _ACTING_USER])
    _call(node, f"rabbit_auth_backend_internal:{function}({terms})")


def _call(node: PrivateBroker, call: str) -> None:
    value = node.evaluate(call)
    if value.startswith("{error"):
        raise BrokerError(f"`{call}` failed: {value}")


def _binary(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'
