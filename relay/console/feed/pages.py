"""The feed's page and its stream. Nothing is bound or asked for unless somebody watches."""

import asyncio
import contextlib
from collections.abc import Mapping

import aiohttp
from aiohttp import web

from relay.console.deployment import Deployment
from relay.console.feed.requests import Requests
from relay.console.feed.rows import Row, filters_of, has_requests, newest
from relay.console.feed.seen import Seen
from relay.console.feed.view import View
from relay.console.guard import VISITOR
from relay.console.rendering import Pages
from relay.console.watching.polling import Poller
from relay.observability.recent_requests import FILTERS
from relay.observability.row_filters import RowFilters

_MAX_WATCHERS = 20
_MAX_ROWS = 200
_MAX_SEARCHED = 500

_Filters = tuple[tuple[str, str], ...]


class Feed:
    """What went by lately, for those who watch.

    Args:
        deployment: where events are.
        poller: knows the receivers.
        http: asks them.
        pages: renders the page.
    """

    def __init__(
        self, *, deployment: Deployment, poller: Poller, http: aiohttp.ClientSession, pages: Pages
    ) -> None:
        self._deployment = deployment
        self._poller = poller
        self._http = http
        self._pages = pages
        self._seen = Seen()
        self._watchers = 0
        self._views: dict[_Filters, View] = {}
        self._tasks: dict[_Filters, asyncio.Task[None]] = {}

    def event(self, wanted: str) -> tuple[str, bytes] | None:
        """Return the routing key and the body of an event that was shown."""
        found = self._seen.events.get(wanted)
        return (found.routing_key, found.body) if found else None

    async def requests_of(self, wanted: str) -> list[Row]:
        """Return the requests that name an event or a quarantined delivery."""
        if not (found := self._seen.requests_of(wanted)):
            latest = await Requests(self._http, self._poller, {}).latest(_MAX_SEARCHED)
            self._seen.add_requests([row for row in latest.rows
                                     if wanted in row.get("event_ids", ())])  # fmt: skip
            found = self._seen.requests_of(wanted)
        return found

    async def page(self, request: web.Request) -> web.Response:
        """Show the feed; the script keeps it going."""
        wanted = filters_of(request.query)
        return self._pages.response(
            "feed.html",
            request[VISITOR],
            path="/feed",
            rows=(await self._rows(wanted))[::-1],
            wanted=wanted,
            filters=FILTERS,
            sources=list(self._deployment.sources),
            has_history=self._deployment.has_history,
            query=request.query_string,
        )

    async def _rows(self, wanted: Mapping[str, str]) -> list[Row]:
        filters = RowFilters([*wanted.items()])
        rows = [event.row for event in self._seen.events.values() if filters.wants(event.row)]
        if has_requests(wanted):
            rows += (await Requests(self._http, self._poller, wanted).latest(_MAX_ROWS)).rows
        return newest(rows, _MAX_ROWS)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send rows as they come, as server-sent events; those of a flood are counted."""
        if self._watchers >= _MAX_WATCHERS:
            raise web.HTTPServiceUnavailable(text="Too many watch already; close one.")
        self._watchers += 1
        wanted = filters_of(request.query)
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                await self._send(response, tuple(wanted.items()))
        finally:
            self._watchers -= 1
        return response

    async def _send(self, response: web.StreamResponse, filters: _Filters) -> None:
        view = self._views.get(filters) or self._opened(filters)
        view.watchers += 1
        try:
            async with contextlib.aclosing(view.batches()) as batches:
                async for data in batches:
                    await response.write(data)
                    if self._views.get(filters) is not view:
                        return  # it failed; the script connects again
        finally:
            view.watchers -= 1
            if not view.watchers:
                self._close(filters, view)

    def _opened(self, filters: _Filters) -> View:
        view = View(
            dict(filters),
            deployment=self._deployment,
            poller=self._poller,
            http=self._http,
            seen=self._seen,
        )
        self._views[filters] = view
        self._tasks[filters] = task = asyncio.create_task(view.run(), name="feed")
        task.add_done_callback(lambda _: self._close(filters, view))
        return view

    def _close(self, filters: _Filters, view: View) -> None:
        if self._views.get(filters) is view:
            del self._views[filters]
            self._tasks.pop(filters).cancel()

    def stop(self) -> None:
        """Stop watching: the queues go, too."""
        for filters, view in [*self._views.items()]:
            self._close(filters, view)
