"""The kit: what a service needs to subscribe to events and survive the night.

A service is a name, binding patterns and a handler; see consumers/README.md.
"""

from relay.process import libraries
from relay.process.command import exiting_on_errors

with exiting_on_errors("consumers"), libraries.required():
    from consumers.kit.consumer import Consumer, Database
    from consumers.kit.errors import Reject, Unavailable
    from consumers.kit.event import Event
    from consumers.kit.program import run, serve
    from consumers.kit.settings import ConsumerSettings

__all__ = [
    "Consumer",
    "ConsumerSettings",
    "Database",
    "Event",
    "Reject",
    "Unavailable",
    "run",
    "serve",
]
