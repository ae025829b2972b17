"""Start a service: settings in, logs set up, run until a signal."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from consumers.kit.consumer import Consumer
from consumers.kit.settings import SectionT


def serve(
    name: str,
    kind: type[SectionT],
    opened: Callable[[SectionT], AbstractAsyncContextManager[Consumer]],
) -> None:
    """Run the service `name` as a program until SIGTERM or SIGINT, and exit.

    Args:
        name: of the service, its queue and its section of the settings.
        kind: the section's model.
        opened: opens what the service needs from its settings, and yields the consumer.
    """
    raise NotImplementedError
