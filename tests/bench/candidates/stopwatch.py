"""Wall and CPU time of this process, all threads, from one moment to another."""

import resource
import time


class Stopwatch:
    """Runs from the start; `result` is what a measuring process prints."""

    def __init__(self) -> None:
        self._began = time.monotonic(), _cpu_s()

    def result(self, events: int) -> dict[str, float]:
        """Return what so many events took."""
        began_at, cpu_began_s = self._began
        return {
            "events": events,
            "wall_s": time.monotonic() - began_at,
            "cpu_s": _cpu_s() - cpu_began_s,
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
