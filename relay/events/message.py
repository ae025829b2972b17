"""A message ready for the broker, and where it came in. Pure values."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a delivery came in: the vendor, the configured source and what follows from them."""

    vendor: str
    source: str
    path: str = field(init=False)  # the `source` attribute of its events

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.vendor}/{self.source}")


class Message(NamedTuple):
    """A message ready for the broker, except for its place in the outbox.

    Args:
        id: 32 hex digits; see `message_id`.
        routing_key: in the exchange of the events, or in the quarantine's.
        properties: the AMQP properties, encoded.
        body: the CloudEvents document, or the delivery as received.
        received_at: seconds since 1970.
        is_quarantined: which of the two exchanges it goes to.
    """

    id: str
    routing_key: str
    properties: bytes
    body: bytes
    received_at: float
    is_quarantined: bool = False


def message_id(origin: Origin, content: bytes, number: int = 0) -> str:
    """Return a digest of where a message came in and of what tells it apart there.

    Args:
        origin: where it came in.
        content: what tells it apart: often the bytes as the vendor sent them.
        number: how many equal ones came before it in the same delivery.

    Returns:
        32 hex digits.
    """
    digest = _begun_digest(origin.path, number).copy()
    digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _begun_digest(path: str, number: int) -> "blake2b":
    return blake2b(b"%b\0%d\0" % (path.encode(), number), digest_size=_ID_BYTES)
