"""What a consumer waits for: its handler's destination, the `seen` store, a queue that is full.

Each of them has an `Outage` of its own: how long one has been down says nothing of the others.
"""

import asyncio
import math
import time

import structlog

from consumers.kit.consuming.decision import Wait
from relay.process import tasks


class Outage:
    """Something a consumer needs is down. Its workers wait, until it is up or the consumer stops.

    Args:
        service: the consumer's name.
    """

    def __init__(self, service: str) -> None:
        self.reason: str | None = None
        """Why the consumer waits; None while it does not."""
        self._began_at = math.inf
        self._is_stopping = asyncio.Event()
        self._log = structlog.get_logger("consumers").bind(consumer=service)

    @property
    def duration_s(self) -> float:
        """How long it has lasted; 0 when there is none."""
        return max(0.0, time.monotonic() - self._began_at)

    async def wait(self, wait: Wait) -> bool:
        """Wait before the next try, and return whether there is time for one."""
        if self.reason is None:
            self._log.warning("waiting", reason=wait.reason, after_s=round(wait.after_s, 3))
            self._began_at = time.monotonic()
        self.reason = wait.reason
        return not await tasks.is_set_within(self._is_stopping, wait.after_s)

    def end(self) -> None:
        """Note that everything is up."""
        if self.reason is not None:
            self.reason, self._began_at = None, math.inf
            self._log.info("no longer waiting")

    def stop_waiting(self) -> None:
        """Let nobody wait any longer: the consumer stops."""
        self._is_stopping.set()
