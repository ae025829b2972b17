"""The pages that show how things are: overview, system, catalogue."""

import asyncio
import time
from importlib import metadata
from typing import NamedTuple

import orjson
from aiohttp import web

from relay import vendors
from relay.cli.documents.asyncapi import document_of
from relay.console.deployment import Deployment
from relay.console.guard import VISITOR
from relay.console.plots import Plot, Quantity, Value, plot, span_s, sparkline
from relay.console.rendering import (
    Pages,
    milliseconds,
    number,
    per_second,
)
from relay.console.source_badges import count_badges, silence_badges
from relay.console.verdict import verdict
from relay.console.watching.history import PolledHistory, SourceRow
from relay.console.watching.polling import Poller, silent_in
from relay.console.watching.queues import QueueWatch
from relay.console.watching.scrape import SourceCounts
from relay.events import schemas
from relay.events.topology import routing_key
from relay.process.libraries import DISTRIBUTION

_NEVER = SourceRow(None, SourceCounts(), [])
_SHOWN_OTHERS = 20

_PLOTS: tuple[tuple[Quantity, list[tuple[str, Value]]], ...] = (
    (
        Quantity("Requests", "per second", per_second),
        [("accepted", lambda s: s.accepted), ("refused", lambda s: s.refused)],
    ),
    (
        Quantity("Time to answer", "ms", milliseconds, 0.001),
        [("p50", lambda s: s.p50_s), ("p99", lambda s: s.p99_s)],
    ),
    (Quantity("Outbox", "messages", number), [("waiting", lambda s: s.outbox)]),
    (Quantity("Oldest in an outbox", "s", per_second), [("age", lambda s: s.outbox_age_s)]),
    (
        Quantity("Waiting for a person", "messages", number),
        [
            ("quarantine", lambda s: s.quarantine),
            ("dead letters", lambda s: s.dead),
            ("unrouted", lambda s: s.unrouted),
        ],
    ),
)


class _SourceLine(NamedTuple):
    """A source in the overview."""

    name: str
    vendor: str
    last_seen: float | None
    counts: SourceCounts
    spark: str
    badges: list[tuple[str, str]]


class StatusPages:
    """Overview, system and catalogue.

    Args:
        deployment: what is watched.
        pages: renders them.
        poller: knows receivers and services.
        queues: knows the broker's queues.
        history: the last two hours.
    """

    def __init__(
        self,
        *,
        deployment: Deployment,
        pages: Pages,
        poller: Poller,
        queues: QueueWatch,
        history: PolledHistory,
    ) -> None:
        self._deployment = deployment
        self._pages = pages
        self._poller = poller
        self._queues = queues
        self._history = history

    async def overview(self, request: web.Request) -> web.Response:
        """Show the verdict, the sources, and plots."""
        now = time.time()
        person_queues = self._queues.waiting
        parts = verdict(
            list(self._poller.receivers.values()),
            list(self._poller.services.values()),
            person_queues,
            self._queues.error,
        )
        return self._pages.response(
            "overview.html",
            request[VISITOR],
            path="/",
            parts=parts,
            sources=self._sources(now),
            plots=self._plots(now),
            span_s=span_s(self._history.samples, now),
            queues=person_queues,
            asked_at=self._poller.asked_at,
        )

    def _sources(self, now: float) -> list[_SourceLine]:
        known = self._history.sources(now)
        silent = silent_in(self._poller.receivers.values())
        lines = []
        for name, source in self._deployment.sources.items():
            row = known.get(name, _NEVER)
            section = self._deployment.settings.sources[name]
            badges = silence_badges(row.last_seen, silent.get(name), now) + count_badges(row.hour)
            if section.insecure:
                badges.append(("insecure: everyone is let in", "warn"))
            lines.append(_line(name, source.origin.vendor, row, badges))
        for name in sorted({*known, *silent} - {*self._deployment.sources})[:_SHOWN_OTHERS]:
            row = known.get(name, _NEVER)
            badges = silence_badges(row.last_seen, silent.get(name), now) + count_badges(
                row.hour, is_configured=False
            )
            lines.append(_line(name, "", row, badges))
        return lines

    def _plots(self, now: float) -> list[Plot]:
        samples = list(self._history.samples)
        return [plot(quantity, samples, lines, now) for quantity, lines in _PLOTS]

    async def system(self, request: web.Request) -> web.Response:
        """Show receivers, services, broker, topology and settings."""
        deployment = self._deployment
        return self._pages.response(
            "system.html",
            request[VISITOR],
            path="/system",
            receivers=list(self._poller.receivers.values()),
            wanted=deployment.receivers,
            services=list(self._poller.services.values()),
            queues=[(name, self._queues.states.get(name)) for name in self._queues.names],
            broker_error=self._queues.error,
            addresses=deployment.broker_addresses(),
            topology=deployment.topology,
            sections=deployment.shown_settings(),
            has_problems=deployment.has_problems,
            versions=[
                (name, metadata.version(name)) for name in (DISTRIBUTION, "aiohttp", "aio-pika")
            ],
            asked_at=self._poller.asked_at,
        )

    async def catalogue(self, request: web.Request) -> web.Response:
        """Show types, keys and schemas of what the configured sources publish."""
        by_vendor: dict[str, list[str]] = {}
        rows = []
        for name, source in self._deployment.sources.items():
            by_vendor.setdefault(source.origin.vendor, []).append(name)
        titles = schemas.titles()
        for name, source in self._deployment.sources.items():
            vendor = source.origin.vendor
            if by_vendor[vendor][0] != name:
                continue
            for event_type in sorted(vendors.types(source.vendor)):
                key = routing_key(vendor, event_type)
                rows.append((vendor, event_type, key, titles.get(event_type, "")))
        wanted = request.query.get("type", "")
        schema = schemas.schema(wanted) if wanted in titles else None
        return self._pages.response(
            "catalogue.html",
            request[VISITOR],
            path="/catalogue",
            rows=rows,
            sources=by_vendor,
            exchange=self._deployment.exchange,
            wanted=wanted,
            schema=orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode() if schema else "",
        )

    async def asyncapi(self, _: web.Request) -> web.Response:
        """Answer with the AsyncAPI document."""
        document = await asyncio.to_thread(document_of, self._deployment.settings)
        return web.Response(body=orjson.dumps(document), content_type="application/json")


def _line(name: str, vendor: str, row: SourceRow, badges: list[tuple[str, str]]) -> _SourceLine:
    spark = sparkline(row.per_minute)
    return _SourceLine(name, vendor, row.last_seen, row.hour, spark, badges)
