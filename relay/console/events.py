"""The page of one event, and the search in the archive."""

import asyncio
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from consumers.archive.record import Archive, Archived, Query
from consumers.kit.errors import NotAnEvent
from consumers.kit.event import parse
from relay.cli.replay.topic_pattern import matcher
from relay.console.deployment import Deployment
from relay.console.feed.pages import Feed
from relay.console.feed.rows import Row
from relay.console.guard import VISITOR, log_action, read_form
from relay.console.masking import masked
from relay.console.rendering import Pages
from relay.console.visible import cut, pretty
from relay.errors import RelayError
from relay.vendors.kit.fields import mapping

_LIMIT = 200
_MAX_SCANNED = 2000
_TIMEOUT_S = 10.0
_SINCE = re.compile(r"([0-9]{1,4})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


class Step(NamedTuple):
    """A step on an event's way: its name, what is known of it, and how good that is."""

    name: str
    text: str
    tone: str


class Found(NamedTuple):
    """An event as it was published, and whether it is from the archive."""

    routing_key: str
    body: bytes
    is_archived: bool


class EventPages:
    """One event, and the search for events.

    Args:
        deployment: which services get what.
        pages: renders them.
        feed: has what went by lately.
        archive: has what went by before; None where none is configured.
        archive_name: what it is, without a password.
    """

    def __init__(
        self,
        *,
        deployment: Deployment,
        pages: Pages,
        feed: Feed,
        archive: Archive | None,
        archive_name: str,
    ) -> None:
        self._deployment = deployment
        self._pages = pages
        self._feed = feed
        self._archive = archive
        self._archive_name = archive_name

    async def event(self, request: web.Request) -> web.Response:
        """Show an event, masked."""
        return await self._event_page(request, is_masked=True)

    async def unmasked_event(self, request: web.Request) -> web.Response:
        """Show an event as it is; that is logged."""
        await read_form(request)
        log_action(request[VISITOR], "unmask", id=request.match_info["id"])
        return await self._event_page(request, is_masked=False)

    async def download(self, request: web.Request) -> web.Response:
        """Give an event's body as a file. Raises RelayError as `_find` does."""
        wanted = request.match_info["id"]
        found = await self._find(wanted, await self._feed.requests_of(wanted))
        if not found:
            raise web.HTTPNotFound(text="Its body is not at hand.")
        log_action(request[VISITOR], "download", id=wanted)
        return web.Response(
            body=found.body,
            content_type="application/octet-stream",
            headers={"Content-Disposition": 'attachment; filename="event.json"'},
        )

    async def _find(self, wanted: str, rows: Sequence[Row]) -> Found | None:
        """Return an event.

        Raises:
            RelayError: the archive can't be read, or does not answer in time.
        """
        if shown := self._feed.event(wanted):
            return Found(*shown, is_archived=False)
        query = Query(limit=_MAX_SCANNED, type=str(rows[0]["type"]) if _typed(rows) else None)
        for key, body in await self._search(query):
            if wanted.encode() in body and _id_of(body) == wanted:
                return Found(key, body, is_archived=True)
        return None

    async def _event_page(self, request: web.Request, *, is_masked: bool) -> web.Response:
        wanted = request.match_info["id"]
        received = await self._feed.requests_of(wanted)
        found, problem = None, ""
        try:
            found = await self._find(wanted, received)
        except RelayError as error:
            problem = str(error)
        body = found.body if found else b"{}"
        document: Any = orjson.loads(body)
        shown = masked(document) if is_masked else document
        data = dict(mapping(mapping(shown).get("data")))
        raw, raw_left = cut(pretty(data.pop("raw", None)))
        normalized, left = cut(pretty(dict(mapping(shown)) | {"data": data}))
        source = str(mapping(document).get("source", "")).rpartition("/")[2]
        return self._pages.response(
            "event.html",
            request[VISITOR],
            path="/feed",
            id=wanted,
            is_found=found is not None,
            has_archive=self._archive is not None,
            problem=problem,
            is_masked=is_masked,
            routing_key=found.routing_key if found else "",
            raw=raw,
            normalized=normalized,
            left_out=raw_left + left,
            command=shlex.join(["relay", "inspect", source, "raw.json"]),
            trail=self._trail(received, found),
        )

    def _trail(self, received: Sequence[Row], found: Found | None) -> list[Step]:
        steps = []
        for row in received[:3]:
            at = f"{row.get('time')} by {row.get('source')}, answered {row.get('status')}"
            tone = "good" if row.get("verdict") == "accepted" else "warn"
            text = f"{at} after {row.get('duration_ms', '?')} ms: {row.get('verdict')}"
            steps.append(Step("Received", text, tone))
            if row.get("verdict") == "accepted":
                steps.append(Step("Stored", "on the receiver's disk before the answer", "good"))
        if not received:
            text = "not among the latest requests that receivers and this console remember"
            steps.append(Step("Received", text, "plain"))
        if found:
            key = found.routing_key
            steps.append(Step("Confirmed", f"RabbitMQ has passed it on under {key}", "good"))
            routed = [name for name, patterns in self._deployment.bindings.items()
                      if any(matcher(pattern)(key) for pattern in patterns)]  # fmt: skip
            text = ", ".join(routed) or "no service in these settings has a binding for it"
            steps.append(Step("Routed to", text, "good" if routed else "plain"))
        else:
            steps.append(Step("Confirmed", "not seen since this console watches", "plain"))
        if found and found.is_archived:
            steps.append(Step("Archived", f"in {self._archive_name}", "good"))
        return steps

    async def search(self, request: web.Request) -> web.Response:
        """Show events of the archive that meet what is asked for."""
        asked = {name: request.query.get(name, "").strip() for name in _FIELDS}
        if asked["text"] and not request[VISITOR].can_read:
            raise web.HTTPForbidden(text="Texts are for the roles reader and operator.")
        rows: list[dict[str, str]] = []
        problem, is_cut = "", False
        if self._archive and any(asked.values()):
            try:
                rows, is_cut = await self._matching(asked)
            except RelayError as error:
                problem = str(error)
        return self._pages.response(
            "search.html",
            request[VISITOR],
            path="/search",
            asked=asked,
            rows=rows,
            problem=problem,
            is_cut=is_cut,
            store=self._archive_name if self._archive else "",
            is_asked=any(asked.values()),
        )

    async def _matching(self, asked: Mapping[str, str]) -> tuple[list[dict[str, str]], bool]:
        needs_scan = bool(asked["id"] or asked["text"])
        limit = _MAX_SCANNED if needs_scan else _LIMIT
        query = Query(
            conversation=asked["conversation"] or None,
            type=asked["type"] or None,
            vendor=asked["vendor"] or None,
            since=_moment(asked["since"]),
            limit=limit,
        )
        found = await self._search(query)
        needles = [asked[name].encode() for name in ("id", "text") if asked[name]]
        chosen = [each for each in found if all(needle in each.body for needle in needles)]
        is_cut = len(found) == limit or len(chosen) > _LIMIT
        return [_summary(each) for each in reversed(chosen[-_LIMIT:])], is_cut

    async def _search(self, query: Query) -> list[Archived]:
        """Return what the archive has; nothing where none is configured. Raises RelayError."""
        archive = self._archive
        if archive is None:
            return []
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await asyncio.to_thread(lambda: list(archive.find(query)))
        except TimeoutError as error:
            raise RelayError(
                f"The archive did not answer within {_TIMEOUT_S:g} s; search for less."
            ) from error


_FIELDS = ("conversation", "type", "vendor", "since", "id", "text")


def _typed(rows: Sequence[Row]) -> bool:
    return bool(rows and rows[0].get("type"))


def _id_of(body: bytes) -> str:
    try:
        return str(parse(body).get("id", ""))
    except NotAnEvent:
        return ""


def _summary(archived: Archived) -> dict[str, str]:
    try:
        event = parse(archived.body)
    except NotAnEvent:
        event = {}
    names = ("id", "type", "time", "recordedtime", "source", "partitionkey")
    summary = {name: str(event.get(name, "")) for name in names}
    return summary | {"routing_key": archived.routing_key}


def _moment(text: str) -> datetime | None:
    """Read 30m, 2h, 7d ago, or a date.

    Raises:
        RelayError: it is neither.
    """
    if not text:
        return None
    if ago := _SINCE.fullmatch(text):
        return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RelayError(
            f"{text!r} is neither 30m, 2h, 7d nor a date such as 2026-11-28."
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
