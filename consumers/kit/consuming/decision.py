"""What becomes of a message after an attempt to handle its event. Pure: it decides, others act."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.kit.errors import NotAnEvent, Reject, Unavailable

_MIN_WAIT_S = 1.0
_MAX_UNASKED_WAIT_S = 60.0
MAX_WAIT_S = 240.0
"""Whoever is down may ask for more, and is tried again all the same."""


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
    error: BaseException | None,
    *,
    attempt: int,
    retry_delays_s: Sequence[float],
    down_for_s: float = 0,
) -> Decision:
    """Return what to do with a message.

    Args:
        error: what the handler raised, or None.
        attempt: which attempt it was, from 1.
        retry_delays_s: the delay before the second attempt, before the third, and so on.
        down_for_s: how long what is Unavailable has been down.
    """
    match error:
        case None:
            return DONE
        case Unavailable():
            return Wait(wait_s(error.retry_after_s, down_for_s), _text(error))
        case Reject():
            return Dead(f"rejected: {_text(error)}")
        case NotAnEvent():
            return Dead(f"no event: {_text(error)}")
        case _ if attempt <= len(retry_delays_s):
            return Retry(retry_delays_s[attempt - 1], attempt + 1)
        case _:
            return Dead(described(error))


def described(error: BaseException) -> str:
    """Return an error's kind and text on one line."""
    text = _text(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def wait_s(asked_s: float | None, down_for_s: float) -> float:
    """Return how long to wait for something that is down.

    Args:
        asked_s: what it asks for; at most four minutes are granted.
        down_for_s: how long it has been down already; unasked, the wait is as long again, but at
            least a second and at most a minute.
    """
    if asked_s is not None and asked_s > 0:  # "at once" would be a loop without a pause
        return min(asked_s, MAX_WAIT_S)
    return min(max(down_for_s, _MIN_WAIT_S), _MAX_UNASKED_WAIT_S)


def _text(error: BaseException) -> str:
    """Return an error's text on one line, without the lone surrogates that can't be sent."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the class is a handler's own
        text = ""
    return " ".join(text.encode(errors="replace").decode().split())
