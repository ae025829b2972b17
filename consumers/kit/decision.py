"""What becomes of a message after an attempt to handle its event. Pure: it decides, others act."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.kit.errors import NotAnEvent, Reject, Unavailable

_FIRST_WAIT_S, _LAST_WAIT_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """Handled: acknowledge it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Failed: it goes to a delay queue, and comes back for the next attempt."""

    delay_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up: it goes to the dead-letter queue."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something the handler needs is down: keep the message and try again; no attempt counted."""

    after_s: float
    reason: str


Decision = Done | Retry | Dead | Wait
DONE = Done()


def decide(
    error: BaseException | None, *, attempt: int, retry_delays_s: Sequence[float], waits: int = 0
) -> Decision:
    """Return what to do with a message.

    Args:
        error: what the handler raised, or None.
        attempt: which attempt it was, from 1.
        retry_delays_s: the delay before the second attempt, before the third, and so on.
        waits: how often this attempt has already been put off by Unavailable.
    """
    match error:
        case None:
            return DONE
        case Unavailable():
            after_s = error.retry_after_s
            if after_s is None:
                after_s = min(_FIRST_WAIT_S * 2**waits, _LAST_WAIT_S)
            return Wait(after_s, str(error))
        case Reject():
            return Dead(f"rejected: {error}")
        case NotAnEvent():
            return Dead(f"no event: {error}")
        case _ if attempt <= len(retry_delays_s):
            return Retry(retry_delays_s[attempt - 1], attempt + 1)
        case _:
            return Dead(described(error))


def described(error: BaseException) -> str:
    """Return an error's kind and text on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
