"""What some filters let through, for all who watch by them: it is asked for and written once."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

import aiohttp

from relay.console.deployment import Deployment
from relay.console.feed.requests import Latest, Requests
from relay.console.feed.rows import Row, encoded, has_events, has_requests, newest
from relay.console.feed.seen import Seen, SeenEvent
from relay.console.feed.tap import Tap
from relay.console.watching.polling import Poller
from relay.process import tasks

_PAUSE_S = 0.25
"""What comes within that time after the first goes along with it."""
_SIGN_OF_LIFE_S = 2.0
"""In that time it is noticed that somebody has gone."""
_MAX_BATCHES = 40
_MAX_RECENT = 40
"""Rows for one who comes later, whose page may lack them. The script leaves out what it shows."""


class _Batch(NamedTuple):
    """What came in a pause.

    Args:
        number: of the batch, from 1.
        before, after: how many rows there were until its begin and its end, shown or not.
        data: the server-sent event.
    """

    number: int
    before: int
    after: int
    data: bytes


class View:
    """Rows that meet filters, live.

    Args:
        wanted: the filters.
        deployment: where events are.
        poller: knows the receivers.
        http: asks them.
        seen: remembers what is shown.
    """

    def __init__(
        self,
        wanted: Mapping[str, str],
        *,
        deployment: Deployment,
        poller: Poller,
        http: aiohttp.ClientSession,
        seen: Seen,
    ) -> None:
        self.watchers = 0
        self._has_news = asyncio.Event()
        self._tap = (
            Tap(
                deployment,
                wanted,
                note=self._note_event,
                skip=self._skip,
                change=self._has_news.set,
            )
            if has_events(wanted)
            else None
        )
        self._requests = Requests(http, poller, wanted) if has_requests(wanted) else None
        self._is_filtered = bool(wanted)
        self._seen = seen
        self._rows: list[Row] = []
        self._more = self._unseen = 0
        self._error = self.error
        self._recent: deque[Row] = deque(maxlen=_MAX_RECENT)
        self._batches: deque[_Batch] = deque(maxlen=_MAX_BATCHES)
        self._number = self._passed = 0
        self._changed = asyncio.Event()

    @property
    def error(self) -> str:
        """Why no events come; "" if nothing is wrong."""
        return self._tap.error if self._tap else ""

    async def run(self) -> None:
        """Watch until cancelled; nothing is bound or asked for after that."""
        async with asyncio.TaskGroup() as parts:
            if self._tap:
                parts.create_task(self._tap.run(), name="feed events")
            if self._requests:
                parts.create_task(self._requests.follow(self._note_requests), name="feed requests")
            parts.create_task(self._write(), name="feed batches")

    async def batches(self) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events, at most 4 a second.

        Who is slow misses batches; their rows count as left out.
        """
        number, passed = self._number, self._passed
        yield encoded(self._recent, more=0, unseen=0, error=self._error)
        while True:
            fresh = [batch for batch in self._batches if batch.number > number]
            for batch in fresh:
                if batch.before > passed:
                    yield encoded([], more=batch.before - passed, unseen=0, error=self._error)
                number, passed = batch.number, batch.after
                yield batch.data
            if not fresh and not await tasks.is_set_within(self._changed, _SIGN_OF_LIFE_S):
                yield b":\n\n"

    async def _write(self) -> None:
        while True:
            await self._has_news.wait()
            await asyncio.sleep(_PAUSE_S)
            self._has_news.clear()
            self._add_batch()

    def _add_batch(self) -> None:
        rows, self._rows = newest(self._rows, len(self._rows)), []
        self._error = self.error
        before, self._passed = self._passed, self._passed + len(rows) + self._more
        self._number += 1
        data = encoded(rows, more=self._more, unseen=self._unseen, error=self._error)
        self._more = self._unseen = 0
        self._recent.extend(rows)
        self._batches.append(_Batch(self._number, before, self._passed, data))
        self._changed.set()
        self._changed = asyncio.Event()

    def _note_event(self, event: SeenEvent) -> None:
        self._seen.add_event(event)
        self._rows.append(event.row)
        self._has_news.set()

    def _note_requests(self, latest: Latest) -> None:
        if not any(latest):
            return
        self._seen.add_requests(latest.rows)
        self._rows += latest.rows
        self._more += latest.skipped
        if self._is_filtered:
            self._unseen += latest.missed
        else:
            self._more += latest.missed
        self._has_news.set()

    def _skip(self, count: int) -> None:
        self._more += count
        self._has_news.set()
