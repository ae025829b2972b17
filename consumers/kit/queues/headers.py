"""The headers of a message that the kit moves to another queue. Pure.

A message in a delay queue or in the dead-letter queue was published again, with that queue's name
as its routing key; so its original routing key and its attempts are in headers.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pamqp import commands, decode, encode

from relay.events.timestamps import rfc3339

ATTEMPT = "relay-attempt"
"""The attempt a delivery is for, from 1; of a dead letter, the last one made."""
ROUTING_KEY = "relay-routing-key"
"""The routing key the relay published the event under."""
REASON = "relay-reason"
"""Why it is a dead letter."""
DIED_AT = "relay-died-at"
"""When it became a dead letter: RFC 3339 UTC."""
REPLAY = "replay"
"""Names the replay that sent the event. Such an event is handled although it was seen."""

_MAX_REASON_CHARACTERS = 1000
_MAX_ATTEMPTS = 1_000_000
_MAX_LEVELS = 16
"""Of nested tables and arrays: far more than anybody needs, far less than the stack allows."""
_PERSISTENT = 2
_NOT_CARRIED = {"headers", "delivery_mode", "expiration", "user_id", "cluster_id"}
_COPIES_TO = {"CC", "BCC"}
_OF_THE_BROKER = {"x-delivery-count", "x-acquired-count", "x-death"} | {
    f"x-{which}-death-{what}"
    for which in ("first", "last")
    for what in ("exchange", "queue", "reason")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What a dead letter says, without its body.

    Args:
        id: the event's id; "" if the message has none.
        type: of the event.
        routing_key: the relay's.
        reason: why it was given up.
        attempts: how many were made; 0 when unknown.
        died_at: seconds since 1970; None when unknown.
    """

    id: str
    type: str
    routing_key: str
    reason: str
    attempts: int
    died_at: float | None


def attempt_of(headers: Mapping[str, Any]) -> int:
    """Return which attempt this delivery is for, from 1."""
    value = headers.get(ATTEMPT)
    return min(max(value, 1), _MAX_ATTEMPTS) if type(value) is int else 1


def routing_key_of(headers: Mapping[str, Any], delivered: str) -> str:
    """Return the key the relay published under, whichever queues the message went through."""
    value = headers.get(ROUTING_KEY)
    return value if type(value) is str and value else delivered


def retry_properties(
    properties: commands.Basic.Properties, *, attempt: int, routing_key: str
) -> commands.Basic.Properties:
    """Return the properties of a message that will be handled again.

    Args:
        properties: as delivered.
        attempt: the attempt to make.
        routing_key: the relay's.
    """
    return _changed(properties, {ATTEMPT: attempt, ROUTING_KEY: routing_key})


def dead_letter_properties(
    properties: commands.Basic.Properties,
    *,
    attempts: int,
    routing_key: str,
    reason: str,
    died_at: float,
) -> commands.Basic.Properties:
    """Return the properties of a message that is given up.

    Args:
        properties: as delivered.
        attempts: how many were made.
        routing_key: the relay's.
        reason: why; cut to 1,000 characters.
        died_at: seconds since 1970.
    """
    return _changed(
        properties,
        {
            ATTEMPT: attempts,
            ROUTING_KEY: routing_key,
            REASON: _as_text(reason)[:_MAX_REASON_CHARACTERS],
            DIED_AT: rfc3339(datetime.fromtimestamp(died_at, UTC)),
        },
    )


def read_dead_letter(properties: commands.Basic.Properties, delivered_key: str) -> DeadLetter:
    """Read a message of a dead-letter queue, whether the kit put it there or the broker."""
    headers = properties.headers or {}
    attempt = headers.get(ATTEMPT)
    reason, died_at = headers.get(REASON), _seconds(headers.get(DIED_AT))
    if not isinstance(reason, str):
        reason, died_at = _broker_reason(headers)
    return DeadLetter(
        id=properties.message_id or "",
        type=properties.message_type or "",
        routing_key=routing_key_of(headers, _first_key(headers) or delivered_key),
        reason=reason,
        attempts=attempt if type(attempt) is int else 0,
        died_at=died_at,
    )


def _changed(
    properties: commands.Basic.Properties, headers: Mapping[str, Any]
) -> commands.Basic.Properties:
    """Return a persistent copy with other headers, without what the broker would act on.

    It would drop the message at its `expiration`, close the channel over the `user_id` of someone
    else (https://www.rabbitmq.com/docs/validated-user-id), and send copies to the queues named in
    `CC` and `BCC` (https://www.rabbitmq.com/docs/sender-selected).
    """
    left_out = _OF_THE_BROKER | _COPIES_TO | {REASON, DIED_AT}
    kept = {
        _as_text(name): _carried(value, _MAX_LEVELS)
        for name, value in (properties.headers or {}).items()
        if name not in left_out
    }
    names = [name for name in properties.attributes() if name not in _NOT_CARRIED]
    return commands.Basic.Properties(
        **{name: getattr(properties, name) for name in names},
        headers={**kept, **headers},
        delivery_mode=_PERSISTENT,
    )


def _carried(value: Any, levels: int) -> Any:
    """Return a header's value as it is if it can be sent without a change, else as text.

    pamqp sends every float in 4 bytes, and decodes some values that it can't encode.
    """
    match value:
        case dict() | list() if not levels:
            return "nested too deeply"
        case dict():
            return {_as_text(name): _carried(item, levels - 1) for name, item in value.items()}
        case list():
            return [_carried(item, levels - 1) for item in value]
        case _:
            return value if _arrives_unchanged(value) else _as_text(value)


def _arrives_unchanged(value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False  # RabbitMQ closes the connection over it
    try:
        return bool(decode.embedded_value(encode.encode_table_value(value))[1] == value)
    except (TypeError, ValueError, OverflowError, struct.error):
        return False


def _as_text(value: Any) -> str:
    """Return a text that UTF-8 can encode; what it can't is written as an escape sequence."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value).encode(errors="backslashreplace").decode()


def _broker_reason(headers: Mapping[str, Any]) -> tuple[str, float | None]:
    """Read why the broker dead-lettered a message (https://www.rabbitmq.com/docs/dlx#effects)."""
    death = _first_death(headers)
    died_at = death.get("time")
    reason = death.get("reason")
    if reason == "delivery_limit":
        reason = "delivered again and again without an answer; the consumer may have died of it"
    died_at_s = died_at.timestamp() if isinstance(died_at, datetime) else None
    return str(reason or "not known"), died_at_s


def _first_key(headers: Mapping[str, Any]) -> str:
    keys = _first_death(headers).get("routing-keys")
    return str(keys[0]) if isinstance(keys, list) and keys else ""


def _first_death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, Mapping) else {}


def _seconds(value: object) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None
