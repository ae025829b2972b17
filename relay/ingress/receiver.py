"""What stands behind the connections and answers their requests."""

from typing import Protocol

from relay.errors import Refused
from relay.ingress.request_context import RequestContext


class Receiver(Protocol):
    """What requests are handed to. `admit` raises Refused; apart from that no method raises."""

    def admit(self, request: RequestContext) -> None:
        """Raise Refused for a request that is wrong whatever its body."""

    def handle(self, request: RequestContext) -> None:
        """Take a request with its whole body; reply later, never before this returns."""

    def refuse(self, request: RequestContext, error: Refused) -> None:
        """Reply at once to a request whose body is not read to its end."""
