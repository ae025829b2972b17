"""How often a line is written that senders can provoke."""

import time

import pytest

from relay.observability.log_throttle import LogThrottle


def test_a_line_is_due_once_per_period(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 100.1, 109.9, 110.0, 110.1, 1000.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    tells = LogThrottle(10)

    assert [tells.should_log() for _ in range(6)] == [True, False, False, True, False, True]
