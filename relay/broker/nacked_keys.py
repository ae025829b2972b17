"""Routing keys whose messages RabbitMQ nacks, again and again."""

import asyncio
from collections.abc import Iterable

from relay.broker.outcome import HasMessage
from relay.errors import BrokerError

_NACKED_TIMES = 4
_MAX_KEYS = 1000


class NackedKeys:
    """Since when each routing key is nacked without a confirm in between.

    After some confirm timeouts the session must end, and another begin: if the first message of a
    channel comes while its quorum queue elects a leader, RabbitMQ 3.10 nacks messages for as long
    as the channel lives. A full queue costs such a reconnect, too.

    Args:
        confirm_timeout_s: see Session.
    """

    def __init__(self, confirm_timeout_s: float) -> None:
        self._limit_s = _NACKED_TIMES * confirm_timeout_s
        self._since: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def add(self, nacked: Iterable[HasMessage]) -> None:
        """Note that messages were nacked."""
        now = asyncio.get_running_loop().time()
        for item in nacked:
            if len(self._since) < _MAX_KEYS:
                self._since.setdefault(item.message.routing_key, now)

    def discard(self, confirmed: Iterable[HasMessage]) -> None:
        """Note that messages were confirmed."""
        for item in confirmed:
            self._since.pop(item.message.routing_key, None)

    def check(self) -> None:
        """Raise BrokerError if a key has been nacked for too long."""
        now = asyncio.get_running_loop().time()
        for routing_key, since in self._since.items():
            if now - since > self._limit_s:
                raise BrokerError(f"{routing_key} was refused for {self._limit_s:g} s.")
