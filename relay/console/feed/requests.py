"""Requests that callers were answered, as the receivers remember them: `/recent`.

A receiver does nothing else while it makes rows, so it is asked for no more than a person sees, and
counts the others.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp
import orjson

from relay.console.feed.allowance import Allowance
from relay.console.feed.rows import Row, newest
from relay.console.watching.polling import Poller, get
from relay.errors import RelayError

POLL_S, FAST_POLL_S = 1.0, 0.25
_FAST_POLLS = 240
_FIRST_ROWS = 20


class Latest(NamedTuple):
    """What receivers say.

    Args:
        rows: the newest that are wanted, the newest last.
        skipped: how many more are.
        missed: how many requests they had forgotten.
    """

    rows: list[Row]
    skipped: int
    missed: int


class Rhythm:
    """How often receivers are asked: once a second.

    A receiver remembers 1,000 requests. Once some were gone before anybody could look whether they
    are wanted, it is asked four times as often, for a minute after the last time. Without filters
    all are wanted, and those that are gone are counted, however many they are.
    """

    def __init__(self, *, is_filtered: bool) -> None:
        self._is_filtered = is_filtered
        self._fast_polls = 0

    def pause_s(self, missed: int) -> float:
        """Return when to ask again, after an answer that so many requests were missed."""
        is_blind = self._is_filtered and missed > 0
        self._fast_polls = _FAST_POLLS if is_blind else max(0, self._fast_polls - 1)
        return FAST_POLL_S if self._fast_polls else POLL_S


class Requests:
    """What the receivers answered to requests that are wanted.

    Args:
        http: asks them.
        poller: knows them.
        wanted: the filters, as `/recent` knows them.
    """

    def __init__(
        self, http: aiohttp.ClientSession, poller: Poller, wanted: Mapping[str, str]
    ) -> None:
        self._http = http
        self._poller = poller
        self._wanted = wanted
        self._cursors: dict[str, str] = {}

    async def follow(self, note: Callable[[Latest], None]) -> None:
        """Ask for ever, at first for some that were before."""
        note(await self.latest(_FIRST_ROWS))
        allowance, rhythm = Allowance(time.monotonic()), Rhythm(is_filtered=bool(self._wanted))
        missed = 0
        while True:
            await asyncio.sleep(rhythm.pause_s(missed))
            latest = await self.latest(max(1, allowance.left(time.monotonic())))
            allowance.take(len(latest.rows))
            missed = latest.missed
            note(latest)

    async def latest(self, count: int) -> Latest:
        """Return the newest since the last call; the first one counts no others.

        One that does not answer, or is older and has no `/recent`, has none.
        """
        parts = await asyncio.gather(
            *[self._latest_of(url, count) for url in self._poller.receivers]
        )
        rows = [row for part in parts for row in part.rows]
        skipped = sum(part.skipped for part in parts) + max(0, len(rows) - count)
        return Latest(newest(rows, count), skipped, sum(part.missed for part in parts))

    async def _latest_of(self, url: str, count: int) -> Latest:
        after = self._cursors.get(url, "")
        query = {**self._wanted, "limit": str(count), "latest": "true", "after": after}
        try:
            page = orjson.loads(await get(self._http, f"{url}/recent", query))
            rows = [row for row in page["requests"] if isinstance(row, dict)]
            self._cursors[url] = str(page["cursor"])
            if not after:
                return Latest(rows, 0, 0)
            return Latest(rows, int(page["skipped"]), int(page["missed"] or 0))
        except (RelayError, ValueError, KeyError, TypeError):
            return Latest([], 0, 0)
