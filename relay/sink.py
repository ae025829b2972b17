"""What makes messages durable, as the ingress sees it: the outbox, or the broker itself."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from relay.events.message import Message
from relay.process.safe_traceback import safe_traceback

log = structlog.get_logger("relay.sink")


class PendingDelivery(Protocol):
    """The messages of one request, and whoever waits for them to be durable."""

    @property
    def messages(self) -> Sequence[Message]:
        """At least one."""
        ...

    def complete(self, error: Exception | None) -> None:
        """Hear that all messages are durable, or why they are not. Called once.

        It should not raise; sinks call `complete_all`, which logs what does.
        """


def complete_all(deliveries: Iterable[PendingDelivery], error: Exception | None) -> None:
    """Complete each delivery. A bug in one must not keep the others from their answers."""
    for delivery in deliveries:
        try:
            delivery.complete(error)
        except Exception as bug:  # noqa: BLE001  the others must be answered, whatever it is
            _log_bug(bug)


def _log_bug(bug: Exception) -> None:
    log.error("delivery not completed", **safe_traceback(bug))


class Sink(ABC):
    """Makes messages durable."""

    @abstractmethod
    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        """Take deliveries, in order, and complete each of them, now or later.

        One that could not be made durable is completed with NotDurable and may be appended again.
        Each sink documents whether some of its messages may be durable all the same.
        """

    def append(self, messages: Sequence[Message]) -> asyncio.Future[None]:
        """Append messages as one delivery.

        Returns:
            What is done once they are durable.

        Raises:
            NotDurable: the sink takes none now.
        """
        delivery = _Awaited(messages)
        self.append_all([delivery])
        if delivery.done.done():
            delivery.done.result()
        return delivery.done


class _Awaited:
    """A delivery that a task waits for."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def complete(self, error: Exception | None) -> None:
        if self.done.done():
            return  # the task has given up
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)
