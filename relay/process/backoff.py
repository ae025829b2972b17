"""Delays between attempts: twice as long each time, with jitter."""

import random


def delay_s(attempt: int, *, first_s: float, last_s: float) -> float:
    """Return the delay after an attempt: doubled each time, up to last_s, give or take half."""
    doubled_s = min(first_s * 2.0 ** min(attempt - 1, 16), last_s)
    return doubled_s * random.uniform(0.5, 1.5)  # noqa: S311  jitter
