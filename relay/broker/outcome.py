"""What becomes of messages that are published. Values only."""

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from relay.broker.refusal import Refusal
    from relay.events.message import Message


class HasMessage(Protocol):
    """Something to publish, with whatever else its publisher needs to know of it."""

    @property
    def message(self) -> "Message":
        """The message."""


T = TypeVar("T", bound=HasMessage)


class PublishOutcome(NamedTuple, Generic[T]):
    """What became of some messages.

    Args:
        confirmed: RabbitMQ has them.
        failed: nacked or returned by it; or refused, if there is a refusal.
        refusal: why it closes the channel over those that failed, and will do so again.
    """

    confirmed: list[T]
    failed: list[T]
    refusal: "Refusal | None" = None
