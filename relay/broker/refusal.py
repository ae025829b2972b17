"""What RabbitMQ will not take: read from the words with which it closed a channel. Pure.

RabbitMQ names the size, the routing key or the exchange that it refuses, in words that differ
between its versions, and cuts them after 255 bytes. So only quoted names and numbers are read.
"""

import re
from dataclasses import dataclass

from relay.events.message import Message

_MISSING = 404
_SIZES = re.compile(r"\bsize (\d+)\D+(\d+)")
_TOPIC = re.compile(r"\btopic '([^']*)'")
_EXCHANGE = re.compile(r"\bexchange '([^']*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why RabbitMQ closed a channel over a message, and which others it would refuse as well.

    Args:
        reason: its words.
        exchange, routing_key: what may not be published to, as far as it is named.
        max_bytes: the largest body it takes, if that is the trouble.
        is_missing: whether the exchange does not exist.
    """

    reason: str
    exchange: str | None = None
    routing_key: str | None = None
    max_bytes: int | None = None
    is_missing: bool = False

    def covers(self, exchange: str, message: Message) -> bool:
        """Return whether the broker's words are about this message, too."""
        if self.max_bytes is not None:
            return len(message.body) > self.max_bytes
        if self.exchange != exchange:
            return False
        return self.routing_key in {None, message.routing_key}

    def cause_of(self, message: Message) -> str:
        """Return a name for what is refused: messages with the same one go out together."""
        if self.exchange is None:
            return f"message {message.id}"
        return _key_cause(self.exchange, self.routing_key) if self.routing_key else self.exchange


def causes_covering(exchange: str, message: Message) -> tuple[str, str]:
    """Return the names of what may keep a message and others from going out."""
    return exchange, _key_cause(exchange, message.routing_key)


def _key_cause(exchange: str, routing_key: str) -> str:
    return f"{exchange} {routing_key}"  # the name of an exchange of ours has no blank


def refusal_in(reply_code: int, reply_text: str) -> Refusal:
    """Return what a broker refuses, from the words with which it closed the channel."""
    if sizes := _SIZES.search(reply_text):
        return Refusal(reason=reply_text, max_bytes=int(sizes[2]))
    exchange, topic = _EXCHANGE.search(reply_text), _TOPIC.search(reply_text)
    return Refusal(
        reason=reply_text,
        exchange=exchange[1] if exchange else None,
        routing_key=topic[1] if topic else None,
        is_missing=reply_code == _MISSING,
    )
