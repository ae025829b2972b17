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

from relay.console.feed.rows import Row, newest
from relay.console.watching.polling import Poller, get
from relay.errors import RelayError

_POLL_S, _FAST_POLL_S = 1.0, 0.25
_FAST_POLLS = 240
"""A receiver remembers 1,000 requests. Once some were gone before they were asked for, it is asked
more often, for a minute after the last time."""
_ROWS_PER_S, _MAX_ROWS = 20, 100
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
        credit, fast_polls, asked_at = float(_MAX_ROWS), 0, time.monotonic()
        while True:
            await asyncio.sleep(_FAST_POLL_S if fast_polls else _POLL_S)
            credit += _ROWS_PER_S * (time.monotonic() - asked_at)
            credit = min(credit, _MAX_ROWS)
            asked_at = time.monotonic()
            latest = await self.latest(max(1, int(credit)))
            credit -= len(latest.rows)
            fast_polls = _FAST_POLLS if latest.missed else max(0, fast_polls - 1)
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
