"""The kit: what a service needs to subscribe to events and survive the night.

A service is a name, binding patterns and a handler; see consumers/README.md.
"""

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
