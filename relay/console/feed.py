"""The live feed: events off an exclusive queue that can hold nothing back, and `/recent` verdicts.

Both run only while somebody watches. The queue is bound to the events' exchange, so meanwhile an
event that nobody else wants comes here and not into the queue of unrouted ones; with a history the
queue is bound in front of that, and it makes no difference.
"""

import asyncio
import contextlib
import json
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aiohttp import web

from consumers.kit.errors import NotAnEvent
from consumers.kit.event import parse
from relay.broker.reconnect import raise_if_cancelled
from relay.console.deployment import Deployment
from relay.console.guard import VISITOR
from relay.console.rendering import Pages
from relay.console.visible import visible
from relay.console.watching.polling import Poller, get
from relay.console.watching.queues import ANSWER_TIMEOUT_S
from relay.errors import BrokerError, RelayError
from relay.events.topology import feed_queue

log = structlog.get_logger("relay")

FILTERS = ("source", "verdict", "reason", "type")
_MAX_WATCHERS = 20
_MAX_ROWS = 1000
_MAX_EVENTS, _MAX_EVENT_BYTES = 1000, 24 * 1024 * 1024
_PREFETCH = 50
_MAX_ROWS_PER_S = 20
_POLL_S = 1.0
_RETRY_S = 3.0
_MAX_CELL_CHARACTERS = 300

Row = dict[str, Any]


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
        self.error = ""
        self._deployment = deployment
        self._poller = poller
        self._http = http
        self._pages = pages
        self._rows: deque[tuple[int, Row]] = deque(maxlen=_MAX_ROWS)
        self._last = 0
        self._changed = asyncio.Event()
        self._events: dict[str, tuple[str, bytes]] = {}
        self._event_bytes = 0
        self._cursors: dict[str, str] = {}
        self._polling = asyncio.Lock()
        self._watchers = 0
        self._tasks: list[asyncio.Task[None]] = []

    def event(self, wanted: str) -> tuple[str, bytes] | None:
        """Return the routing key and the body of an event that went by."""
        return self._events.get(wanted)

    def verdicts_of(self, wanted: str) -> list[Row]:
        """Return the verdicts that name an event or a quarantined delivery."""
        return [row for _, row in self._rows if wanted in row.get("event_ids", ())]

    def rows(self, wanted: Mapping[str, str]) -> list[Row]:
        """Return what went by and is wanted, the newest first."""
        return [row for _, row in reversed(self._rows) if _is_wanted(row, wanted)]

    async def page(self, request: web.Request) -> web.Response:
        """Show the feed; the script keeps it going."""
        await self._poll_once()
        wanted = _wanted(request.query)
        return self._pages.response(
            "feed.html",
            request[VISITOR],
            path="/feed",
            rows=self.rows(wanted)[:200],
            wanted=wanted,
            filters=FILTERS,
            sources=list(self._deployment.sources),
            has_history=self._deployment.has_history,
            query=request.query_string,
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send rows as they come, as server-sent events; at most 20 a second, the rest counted."""
        if self._watchers >= _MAX_WATCHERS:
            raise web.HTTPServiceUnavailable(text="Too many watch already; close one.")
        wanted = _wanted(request.query)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self._watch()
        try:
            sent = self._last
            error: str | None = None
            while True:
                if sent == self._last and error == self.error:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(10):
                            await self._changed.wait()
                fresh = [(number, row) for number, row in self._rows if number > sent]
                sent, error = self._last, self.error
                rows = [row for _, row in fresh if _is_wanted(row, wanted)]
                shown, left_out = rows[-_MAX_ROWS_PER_S:], max(0, len(rows) - _MAX_ROWS_PER_S)
                await _send(response, "rows", {"rows": list(map(_cells, shown)),
                                               "more": left_out, "error": error})  # fmt: skip
                await asyncio.sleep(1)
        except ConnectionError:
            return response
        finally:
            self._leave()

    def _watch(self) -> None:
        self._watchers += 1
        if self._watchers == 1:
            self.error = "connecting to RabbitMQ"
            self._tasks = [
                asyncio.create_task(self._consume(), name="feed queue"),
                asyncio.create_task(self._poll(), name="feed recent"),
            ]

    def _leave(self) -> None:
        self._watchers -= 1
        if not self._watchers:
            self.stop()

    def stop(self) -> None:
        """Stop watching: the queue goes, too."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def _add(self, row: Row) -> None:
        self._last += 1
        self._rows.append((self._last, row))
        self._tell()

    def _tell(self) -> None:
        """Wake all who watch; each compares what it has sent with what there is."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _consume(self) -> None:
        while True:
            try:
                async with self._deployment.connecting() as connection:
                    raise_if_cancelled()
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        channel = await connection.channel()
                        await channel.set_qos(prefetch_count=_PREFETCH)
                        wanted = feed_queue(secrets.token_hex(8))
                        queue = await channel.declare_queue(
                            wanted.name,
                            exclusive=True,
                            auto_delete=True,
                            arguments=wanted.arguments,
                        )
                        for exchange in self._deployment.feed_exchanges:
                            await queue.bind(exchange, "#")
                    self.error = ""
                    self._tell()
                    async with queue.iterator() as messages:
                        async for message in messages:
                            self._note(message)
                            await message.ack()
                self.error = "The connection to RabbitMQ was lost."
            except (BrokerError, TimeoutError) as error:
                self.error = str(error) or "RabbitMQ did not answer in time."
            self._tell()
            raise_if_cancelled()
            await asyncio.sleep(_RETRY_S)

    def _note(self, message: AbstractIncomingMessage) -> None:
        key = message.routing_key or ""
        try:
            event = parse(message.body)
        except NotAnEvent:
            return
        wanted = str(event.get("id", ""))
        if wanted not in self._events:
            self._events[wanted] = (key, message.body)
            self._event_bytes += len(message.body)
        while len(self._events) > _MAX_EVENTS or self._event_bytes > _MAX_EVENT_BYTES:
            _, body = self._events.pop(next(iter(self._events)))
            self._event_bytes -= len(body)
        self._add(
            {
                "time": event.get("recordedtime") or event.get("time") or "",
                "source": str(event.get("source", "")).rpartition("/")[2],
                "verdict": "published",
                "type": event.get("type"),
                "routing_key": key,
                "conversation": event.get("partitionkey"),
                "event_ids": [wanted],
            }
        )

    async def _poll(self) -> None:
        while True:
            await self._poll_once()
            await asyncio.sleep(_POLL_S)

    async def _poll_once(self) -> None:
        """Ask all receivers for what is new; one that is older has no `/recent`."""
        async with self._polling:  # two at once would get the same rows
            found = await asyncio.gather(*map(self._recent, self._poller.receivers))
            rows = [row for each in found for row in each]
            for row in sorted(rows, key=lambda row: str(row.get("time", ""))):
                self._add(row)

    async def _recent(self, url: str) -> list[Row]:
        after = self._cursors.get(url)
        query = {"limit": "500"} | ({"after": after} if after else {})
        try:
            answer = orjson.loads(await get(self._http, f"{url}/recent", query))
            self._cursors[url] = str(answer["cursor"])
            return [row for row in answer["requests"] if isinstance(row, dict)]
        except (RelayError, ValueError, KeyError, TypeError):
            return []


def _wanted(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in FILTERS if query.get(name)}


def _is_wanted(row: Row, wanted: Mapping[str, str]) -> bool:
    return all(value in (str(row.get(name, "")), *map(str, row.get(f"{name}s", ())))
               for name, value in wanted.items())  # fmt: skip


def _cells(row: Row) -> Row:
    """Return a row as the script shows it: short, and with what is invisible made visible."""
    names = ("time", "source", "verdict", "reason", "type", "conversation", "status", "duration_ms")
    cells = {name: _text(row.get(name)) for name in names}
    ids = row.get("event_ids") or [""]
    return cells | {"id": str(ids[0])}


def _text(value: object) -> str:
    return "" if value is None else visible(str(value)[:_MAX_CELL_CHARACTERS])


async def _send(response: web.StreamResponse, name: str, data: object) -> None:
    await response.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
