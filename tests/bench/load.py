"""The load generator: a process that sends what it is told to and says how it was answered.

    python -m tests.bench.load          # a Plan as JSON per line in, a Report per line out

It shares the cores with what it measures, so it is lean: one protocol over kept-alive connections,
requests rendered beforehand, of an answer no more is read than its status and its length.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

from tests.bench.harness import workload
from tests.bench.report.figures import percentile

_TICK_S = 0.001  # uvloop's timers are no finer
_ANSWER_LIMIT_S = 60.0
_PAUSE_S = 1.0
"""Before the next request in the background: it is to be in the way, not to fill the cores. One
percent of small requests is 10 ms of each second, so the 99th percentile shows what it holds up."""
_PERCENTILES = (50, 90, 99, 99.9, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send.

    Args:
        port: where, on loopback.
        calls: which requests, as workload.calls names them.
        seconds: for how long new requests are sent.
        events: ends it earlier, once about so many were sent.
        connections: how many are open.
        rate: requests per second, whether or not they are answered; None sends the next request
            of a connection as soon as the last one is answered.
        background: other requests, sent meanwhile over one more connection, each a pause after the
            last one was answered.
        keeps_answers: whether the report says how long each took.
    """

    port: int
    calls: str = "documented"
    seconds: float = 3.0
    events: int | None = None
    connections: int = 64
    rate: float | None = None
    background: str | None = None
    keeps_answers: bool = False


@dataclass(slots=True)
class Report:
    """How it went.

    Args:
        requests: answered 200, those in the background left out.
        events: in all requests answered 200.
        failed: how many were answered otherwise, by status; "0" is a connection that was closed.
        background: requests answered 200 in the background.
        began_at: of the monotonic clock, which all processes share.
        ended_at: when the last answer came.
        latency_ms: by percentile; at a fixed rate from when a request was due, not when it was
            sent.
        answers_ms: the same, of each, in order, to the µs; only if the plan asks for them.
    """

    requests: int = 0
    events: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    background: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0
    latency_ms: dict[str, float] = field(default_factory=dict)
    answers_ms: list[float] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, answered: Callable[["_Connection", int], None]) -> None:
        self._answered = answered
        self._unread = b""
        self.call = workload.Call(b"", 0)
        self.due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, call: workload.Call, due_at: float) -> None:
        self.call, self.due_at = call, due_at
        self._transport.write(call.wire)

    def data_received(self, data: bytes) -> None:
        data = self._unread + data if self._unread else data
        end = data.find(b"\r\n\r\n")
        head = data[:end].lower()
        at = head.find(b"content-length: ")
        if end < 0 or len(data) < end + 4 + int(head[at + 16 :].split(b"\r", 1)[0]):
            self._unread = data
            return
        self._unread = b""
        self._answered(self, int(data[9:12]))

    def connection_lost(self, _: Exception | None) -> None:
        self._answered(self, 0)

    def close(self) -> None:
        self._answered = lambda *_: None
        self._transport.close()


class _Run:
    """One plan under way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._calls: Iterator[workload.Call] = itertools.cycle(workload.calls(plan.calls))
        self._report = Report()
        self._latencies_s: list[float] = []
        self._in_flight = 0
        self._sent_events = 0
        self._is_over = False
        self._idle: deque[_Connection] = deque()
        self._overdue: deque[float] = deque()
        self._answered_all = asyncio.Event()

    async def result(self) -> Report:
        plan = self._plan
        connections = [await self._connect(self._answered) for _ in range(plan.connections)]
        # Made before the clock runs: it takes so long that small ones would be overdue.
        large = workload.calls(plan.background)[:1] if plan.background else []
        behind = [await self._connect(self._answered_behind) for _ in large]
        self._report.began_at = time.monotonic()
        self._ends_at = self._report.began_at + plan.seconds
        for connection, call in zip(behind, large, strict=True):
            self._send_behind(connection, call)
        if plan.rate is None:
            for connection in connections:
                self._send_next(connection)
        else:
            self._idle.extend(connections)
            await self._send_at(plan.rate, int(plan.rate * plan.seconds))
        async with asyncio.timeout(plan.seconds + _ANSWER_LIMIT_S):
            await self._answered_all.wait()
        for connection in (*connections, *behind):
            connection.close()
        latencies_ms = sorted(latency_s * 1000 for latency_s in self._latencies_s)
        self._report.latency_ms = {
            f"{percent:g}": percentile(latencies_ms, percent) for percent in _PERCENTILES
        }
        if plan.keeps_answers:
            self._report.answers_ms = [round(latency_ms, 3) for latency_ms in latencies_ms]
        return self._report

    async def _connect(self, answered: Callable[[_Connection, int], None]) -> _Connection:
        loop = asyncio.get_running_loop()
        made = await loop.create_connection(
            lambda: _Connection(answered), "127.0.0.1", self._plan.port
        )
        return made[1]

    def _send(self, connection: _Connection, due_at: float) -> None:
        call = next(self._calls)
        self._in_flight += 1
        self._sent_events += call.events
        connection.send(call, due_at)

    def _answered(self, connection: _Connection, status: int) -> None:
        now = time.monotonic()
        self._latencies_s.append(now - connection.due_at)
        self._report.requests += status == 200
        self._note(connection, status, now)
        if self._plan.rate is None:
            self._send_next(connection)
        elif self._overdue:
            self._send(connection, self._overdue.popleft())
        else:
            self._idle.append(connection)
        self._check_over()

    def _note(self, connection: _Connection, status: int, now: float) -> None:
        self._in_flight -= 1
        self._report.ended_at = now
        if status == 200:
            self._report.events += connection.call.events
        else:
            failed = self._report.failed
            failed[str(status)] = failed.get(str(status), 0) + 1

    def _check_over(self) -> None:
        if self._is_over and not self._in_flight and not self._overdue:
            self._answered_all.set()

    # As fast as it is answered.

    def _send_next(self, connection: _Connection) -> None:
        now = time.monotonic()
        most = self._plan.events
        if now >= self._ends_at or (most is not None and self._sent_events >= most):
            self._is_over = True
        else:
            self._send(connection, now)

    # At a fixed rate.

    async def _send_at(self, rate: float, count: int) -> None:
        began_at, sent = self._report.began_at, 0
        while sent < count:
            due = min(count, int((time.monotonic() - began_at) * rate) + 1)
            self._overdue.extend(began_at + number / rate for number in range(sent, due))
            sent = due
            while self._overdue and self._idle:
                self._send(self._idle.popleft(), self._overdue.popleft())
            await asyncio.sleep(_TICK_S)
        self._is_over = True
        self._check_over()

    # In the background.

    def _send_behind(self, connection: _Connection, call: workload.Call) -> None:
        self._in_flight += 1
        connection.send(call, 0.0)

    def _answered_behind(self, connection: _Connection, status: int) -> None:
        now = time.monotonic()
        self._report.background += status == 200
        self._note(connection, status, now)
        if now + _PAUSE_S < self._ends_at:
            asyncio.get_running_loop().call_later(
                _PAUSE_S, self._send_behind, connection, connection.call
            )
        self._check_over()


def main() -> None:
    """Carry out plans until there are no more."""
    for line in sys.stdin:
        report = uvloop.run(_Run(Plan(**json.loads(line))).result())
        print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
