"""What the connections of the public listener may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What connections may cost.

    Args:
        body_bytes: of a body, as sent.
        bodies_bytes: of all bodies that are being read or processed, together.
        connections: how many there may be; one more is answered 503 and closed.
        head_timeout_s: within which a new connection sends the head of its first request.
        body_timeout_s: within which a body arrives.
        keepalive_s: within which a connection sends the head of each further request.
        head_bytes: of a head: the request line and all fields.
        head_fields: how many fields a head may have.
    """

    body_bytes: int
    bodies_bytes: int
    connections: int
    head_timeout_s: float
    body_timeout_s: float
    keepalive_s: float = 75.0
    head_bytes: int = 32_768
    head_fields: int = 200
