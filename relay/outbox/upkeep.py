"""When the outbox gives back disk space: a little at a time, and never while it matters.

Runs in the outbox's thread, between commits. Another process that reads the database, such as a
backup or somebody's `sqlite3`, keeps SQLite from emptying the log, which then grows with each
commit. That is logged and counted, and ends with new events being refused.
"""

import contextlib
import sqlite3
import time
from pathlib import Path

import structlog

from relay.outbox import reserve, space

_IDLE_PAUSE_S = 0.05
_FAILED_PAUSE_S = 10.0
_MAX_FREE_PAGES = 1024
"""4 MiB. So much comes and goes with traffic."""
_SPARE_PAGES = 256
_MIN_STEP_PAGES, _MAX_STEP_PAGES = 16, 512
_STEP_S = 0.02
"""What a step may take, about. It usually takes 3 ms; more if rows were deleted out of order."""
_MAX_REBUILT_PAGES = 1024
"""4 MiB take some 50 ms."""
_LAST_RETRY_S = 30.0
_WARN_EVERY_S = 600.0

log = structlog.get_logger("relay.outbox")


class Upkeep:
    """Keeps the file of a database, and its log, as small as can be.

    Args:
        path: of the database.
        max_log_bytes: size beyond which the log is emptied by force.
        full_log_bytes: size beyond which nothing more may be stored.
        every_s: see OutboxLimits.keep_up_every_s.
    """

    def __init__(
        self, path: Path, *, max_log_bytes: int, full_log_bytes: int, every_s: float
    ) -> None:
        self.blocked = 0
        """How often the log could not be emptied."""
        self.is_log_full = False
        self._reader = (
            "another process reads the database for long, or the disk hangs; end that process, "
            f"which `fuser -v {path}` shows"
        )
        self.blocked_by = self._reader
        """Why it could not, the last time, and what to do."""
        self._path = path
        self._max_log_bytes = max_log_bytes
        self._full_log_bytes = full_log_bytes
        self._every_s = every_s
        self._step_pages = _MAX_STEP_PAGES
        self._is_giving_back = False
        self._give_back_at = 0.0
        self._retry_s = every_s
        self._retry_at = 0.0
        self._warn_at = 0.0
        self._is_blocked = False

    def run(self, db: sqlite3.Connection, *, is_idle: bool) -> float:
        """Do what is due. Return after how many seconds to call again."""
        now, pause_s = time.monotonic(), self._every_s
        if now >= self._give_back_at:
            try:
                pause_s = self._give_back(db, is_idle=is_idle)
            except sqlite3.Error as error:  # a commit that fails, too, is what matters
                log.debug("outbox not shortened", reason=str(error))
                self._give_back_at = now + _FAILED_PAUSE_S
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                    self._empty_log_on_full_disk(db)
        self._bound_log(db, now)
        return pause_s

    def _empty_log_on_full_disk(self, db: sqlite3.Connection) -> None:
        """Make the room with the reserve that it takes to use what is free in the file again."""
        with contextlib.suppress(OSError, sqlite3.Error):  # tried again, and commits report it
            reserve.give_up(self._path.parent)
            if space.shorten_log(db):
                self._give_back_at = 0.0
        reserve.keep(self._path.parent)

    def _give_back(self, db: sqlite3.Connection, *, is_idle: bool) -> float:
        free = space.free_pages(db)
        if free > _MAX_FREE_PAGES:
            self._is_giving_back = True
        if not self._is_giving_back:
            return self._every_s
        if free <= _SPARE_PAGES:
            self._is_giving_back = not space.shorten_log(db)  # only now the file is shorter
            return self._every_s
        if space.can_shrink(db):
            self._cut(db, free - _SPARE_PAGES)
            return _IDLE_PAUSE_S if is_idle else self._every_s
        if is_idle and space.used_pages(db) <= _MAX_REBUILT_PAGES:
            space.rebuild(db)
            log.info("outbox rebuilt", reason="its file could not shrink")
        return self._every_s

    def _cut(self, db: sqlite3.Connection, pages: int) -> None:
        began = time.perf_counter()
        space.cut(db, min(pages, self._step_pages))
        if time.perf_counter() - began > _STEP_S:
            self._step_pages = max(self._step_pages // 2, _MIN_STEP_PAGES)
        else:
            self._step_pages = min(self._step_pages * 2, _MAX_STEP_PAGES)

    def check_log(self) -> int:
        """Note whether the log is full, and return its size in bytes."""
        log_bytes = space.disk_use(self._path).log
        self.is_log_full = log_bytes > self._full_log_bytes
        return log_bytes

    def _bound_log(self, db: sqlite3.Connection, now: float) -> None:
        log_bytes = self.check_log()
        if log_bytes > self._max_log_bytes and now >= self._retry_at:
            if not self._shorten_log(db):
                self._note_blocked(log_bytes, now)
            log_bytes = self.check_log()
        if log_bytes <= self._max_log_bytes and self._is_blocked:
            self._is_blocked, self._retry_s, self._warn_at = False, self._every_s, 0.0
            log.info("outbox log emptied")

    def _shorten_log(self, db: sqlite3.Connection) -> bool:
        """Empty the log. Return whether that was possible; else `blocked_by` says why not."""
        self.blocked_by = self._reader
        try:
            return space.shorten_log(db)
        except sqlite3.Error as error:
            self.blocked_by = f"it can't be written into the database ({error}); check the disk"
            return False

    def _note_blocked(self, log_bytes: int, now: float) -> None:
        self.blocked += 1
        self._is_blocked = True
        self._retry_at = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY_S
            log.warning(
                "outbox log grows",
                log_bytes=log_bytes,
                refused_beyond_bytes=self._full_log_bytes,
                reason=self.blocked_by,
            )
