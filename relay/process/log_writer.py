"""Writes log lines from a thread of its own, so that a blocked stderr blocks nothing else.

A log driver, a pager or a terminal may stop reading. Lines then wait in a buffer; what it has no
room for is dropped and counted. A process that is killed loses its last 50 ms of lines.
"""

import atexit
import os
import select
import threading
import time

from prometheus_client import Counter

from relay.process import libraries

with libraries.hidden("rich"):  # of no use for our tracebacks; it takes 15 ms and 3 MB
    import structlog

_MAX_LINES = 10_000
_MAX_BYTES = 4 * 1024 * 1024
_LINES_PER_CHUNK = 64
_PAUSE_S = 0.05
"""Between two writes: to wake the thread costs more than to add a line."""
_FLUSH_LIMIT_S = 1.0

dropped = Counter(
    "relay_log_lines_dropped", "Log lines dropped because nobody read them.", registry=None
)
"""Of the whole process: each registry shows the same counter."""

_writers: list["LogWriter"] = []


def flush() -> None:
    """Return when all lines so far are written, or after a second."""
    for writer in _writers:
        writer.flush()


atexit.register(flush)


class LogWriter:
    """A logger for structlog that takes lines as bytes, from any thread, and never blocks.

    Args:
        descriptor: an open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._written = threading.Condition(self._lock)
        self._chunks: list[bytes] = []
        self._lines: list[bytes] = []  # behind those of the chunks
        self._waiting_lines = 0
        self._waiting_bytes = 0
        self._unreported_drops = 0
        self._has_lines = threading.Event()
        _writers.append(self)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def logger(self, *_: object) -> "LogWriter":
        """Return the one logger of the process."""
        return self

    def msg(self, line: bytes) -> None:
        """Add a line, without its end, to those that wait to be written."""
        with self._lock:
            size_bytes = self._waiting_bytes + len(line) + 1
            if self._waiting_lines >= _MAX_LINES or size_bytes > _MAX_BYTES:
                self._unreported_drops += 1
                dropped.inc()
                return
            self._lines.append(line)
            self._waiting_lines += 1
            self._waiting_bytes = size_bytes
            is_first = len(self._lines) == 1 and not self._chunks
            if len(self._lines) == _LINES_PER_CHUNK:
                self._pack()
        if is_first:
            self._has_lines.set()

    debug = info = warning = error = critical = exception = msg

    def flush(self) -> None:
        """Return when all lines are written, or after a second."""
        with self._written:
            self._written.wait_for(lambda: not self._waiting_lines, _FLUSH_LIMIT_S)

    def _run(self) -> None:
        while self._has_lines.wait():
            time.sleep(_PAUSE_S)
            self._has_lines.clear()
            self._write_waiting()

    def _pack(self) -> None:
        """Make a chunk of the lines. Thousands would push other things out of the CPU's caches."""
        self._chunks.append(b"\n".join([*self._lines, b""]))
        self._lines.clear()

    def _write_waiting(self) -> None:
        with self._lock:
            self._pack()
            content, count = b"".join(self._chunks), self._waiting_lines
            self._chunks.clear()
        if not content:
            return
        is_written = self._write(content)
        with self._lock:
            self._waiting_lines -= count
            self._waiting_bytes -= len(content)
            drops, self._unreported_drops = self._unreported_drops, 0
            self._written.notify_all()
        if not is_written:
            dropped.inc(count)
        elif drops:
            structlog.get_logger("relay").warning("log lines dropped", lines=drops)

    def _write(self, content: bytes) -> bool:
        """Write content as fast as it is read; return whether all of it was written."""
        remaining = memoryview(content)
        while remaining:
            try:
                remaining = remaining[os.write(self._descriptor, remaining) :]
            except BlockingIOError:  # another process that shares stderr made it non-blocking
                select.select([], [self._descriptor], [])
            except OSError:  # nobody will read it: a closed pipe, a full disk
                return False
        return True
