"""What a handler may raise to say more than "it failed", and what the kit itself raises.

RelayError
├── Reject         this event will never work: dead-letter it now
├── Unavailable    the destination is down, which is not the event's fault: wait, then try again
└── NotAnEvent     a message that is no event; it is dead-lettered

Anything else a handler raises is a failed attempt; the next one follows after a delay.
"""

import math

from relay.errors import RelayError


class Reject(RelayError):
    """The event will never work; it goes to the dead-letter queue with this reason."""


class Unavailable(RelayError):
    """What the handler needs is down. The event is kept, and no attempt is counted.

    Args:
        reason: one sentence, for the log and `/readyz`.
        retry_after_s: how long to wait, at most 240; without it, the kit waits longer each time.

    Raises:
        TypeError: retry_after_s is no number; a header must be converted.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        if retry_after_s is not None and not _is_number(retry_after_s):
            raise TypeError(f"retry_after_s is a number of seconds or None, not {retry_after_s!r}")
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotAnEvent(RelayError):
    """A message that is not JSON, or no CloudEvent with an object as `data`."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)
