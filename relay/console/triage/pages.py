"""The pages of what waits for a person: groups, a group, a message, and what one does to them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from consumers.kit.queues.headers import DeadLetter
from consumers.kit.queues.topology import dead_queue
from relay import vendors
from relay.cli.quarantined_delivery import QuarantinedDelivery
from relay.console.deployment import Deployment
from relay.console.guard import VISITOR, log_action, read_form
from relay.console.masking import masked
from relay.console.rendering import Pages
from relay.console.triage.actions import ACTIONS, RATES, Actions, Job
from relay.console.triage.waiting import (
    MAX_SCANNED,
    Group,
    Reading,
    Waiting,
    WaitingQueue,
    WaitingReader,
)
from relay.console.visible import body_text, cut, pretty
from relay.errors import RelayError

_MAX_DIGITS = 6


class Triage:
    """Quarantine and dead letters.

    Args:
        deployment: which queues there are.
        pages: renders them.
        reader: reads queues.
        actions: does what one asks for.
    """

    def __init__(
        self, *, deployment: Deployment, pages: Pages, reader: WaitingReader, actions: Actions
    ) -> None:
        self._deployment = deployment
        self._pages = pages
        self._reader = reader
        self._actions = actions
        services = [WaitingQueue(name=dead_queue(name), service=name) for name in
                    deployment.services]  # fmt: skip
        self._queues = {
            queue.name: queue for queue in [WaitingQueue(name=deployment.quarantine), *services]
        }

    async def overview(self, request: web.Request) -> web.Response:
        """Show the groups of all queues."""
        readings = [await self._reader.reading(queue) for queue in self._queues.values()]
        return self._pages.response(
            "triage.html",
            request[VISITOR],
            path="/triage",
            readings=readings,
            job=self._actions.job,
        )

    async def group(self, request: web.Request) -> web.Response:
        """Show one group, and what one can do about it."""
        reading, group = await self._chosen(request.query)
        return self._group_page(request, reading, group)

    async def try_out(self, request: web.Request) -> web.Response:
        """Show what the current code makes of a group."""
        reading, group = await self._chosen(await read_form(request))
        if reading.queue.service:
            raise RelayError("Only what is in quarantine can be tried: a service has its own code.")
        trial = await self._actions.try_out(reading.queue, group.key)
        log_action(request[VISITOR], "try", queue=reading.queue.name, group=group.key)
        event = pretty(masked(trial.event)) if trial.event is not None else ""
        return self._group_page(request, reading, group, trial=trial, event=event)

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Begin to release, retry or drop a group."""
        fields = await read_form(request)
        reading, group = await self._chosen(fields)
        action, count = fields.get("action", ""), _number(fields.get("count", ""))
        rate = _number(fields.get("rate", "0"))
        if action not in ACTIONS or count is None or rate not in RATES:
            raise web.HTTPBadRequest(text="The form is not filled in.")
        if action == "drop" and fields.get("typed", "").strip() != str(count):
            text = f"To drop them, type their number: {count}. Nothing was dropped."
            return self._group_page(
                request, reading, group, problem=text, status=HTTPStatus.BAD_REQUEST
            )
        visitor = request[VISITOR]
        job = Job(
            action=action,
            queue=reading.queue,
            key=group.key,
            wanted=min(count, MAX_SCANNED),
            rate=rate,
            user=visitor.name,
        )
        self._actions.start(job, visitor)
        raise web.HTTPSeeOther("/triage")

    def _group_page(
        self, request: web.Request, reading: Reading, group: Group, *, status: int = 200,
        **about: Any,
    ) -> web.Response:  # fmt: skip
        shown = {"trial": None, "event": "", "problem": "", **about}
        return self._pages.response(
            "group.html",
            request[VISITOR],
            status=status,
            path="/triage",
            reading=reading,
            group=group,
            rates=RATES,
            **shown,
        )

    async def message(self, request: web.Request) -> web.Response:
        """Show one message, masked."""
        return await self._message_page(request, request.query, is_masked=True)

    async def unmasked_message(self, request: web.Request) -> web.Response:
        """Show one message as it is; that is logged."""
        fields = await read_form(request)
        log_action(request[VISITOR], "unmask", queue=fields.get("queue"), id=fields.get("id"))
        return await self._message_page(request, fields, is_masked=False)

    async def _message_page(
        self, request: web.Request, fields: Mapping[str, str], *, is_masked: bool
    ) -> web.Response:
        queue = self._queue(fields)
        waiting, message = await self._reader.find(queue, fields.get("id", ""))
        text, left_out = cut(_masked_text(message.body) if is_masked else body_text(message.body))
        return self._pages.response(
            "message.html",
            request[VISITOR],
            path="/triage",
            queue=queue,
            id=waiting.id,
            about=_about(waiting),
            headers=_headers(waiting) if not is_masked else [],
            names=sorted(name for name, _ in _headers(waiting)),
            text=text,
            left_out=left_out,
            is_masked=is_masked,
            size=len(message.body),
        )

    async def sample(self, request: web.Request) -> web.Response:
        """Give the body as a sample, or the skeleton of what is expected of it, as a file."""
        queue, wanted = self._queue(request.query), request.query.get("id", "")
        waiting, message = await self._reader.find(queue, wanted)
        part = request.query.get("part", "body")
        log_action(request[VISITOR], "download", queue=queue.name, id=wanted, part=part)
        number = 1
        if isinstance(waiting, QuarantinedDelivery) and waiting.vendor in vendors.names():
            taken = [_number(file.name[:2]) for file in vendors.samples(waiting.vendor)]
            number += max([each for each in taken if each], default=0)
        body, ending = message.body, "json"
        if part == "expected":
            body, ending = orjson.dumps(_SKELETON, option=orjson.OPT_INDENT_2), "expected.json"
        return web.Response(
            body=body,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{number:02}.{ending}"'},
        )

    async def _chosen(self, fields: Mapping[str, str]) -> tuple[Reading, Group]:
        reading = await self._reader.reading(self._queue(fields))
        group = reading.groups.get(fields.get("group", ""))
        if group is None:
            raise web.HTTPNotFound(text=reading.problem or "Nothing of this group waits any more.")
        return reading, group

    def _queue(self, fields: Mapping[str, str]) -> WaitingQueue:
        queue = self._queues.get(fields.get("queue", ""))
        if queue is None:
            raise web.HTTPNotFound(text="There is no such queue.")
        return queue


_SKELETON = {
    "events": [
        {
            "routing_key": "VENDOR.message.created.text",
            "type": "message.created",
            "vendortype": "...",
            "subject": "conversation/...",
            "data": {"conversation": {"id": "..."}, "message": {"kind": "text", "text": "..."}},
            "raw": "",
        }
    ]
}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def _masked_text(body: bytes) -> str:
    try:
        return pretty(masked(orjson.loads(body)))
    except orjson.JSONDecodeError:
        return "This body is no JSON, so it can't be masked; an operator can see it as it is."


def _about(waiting: Waiting) -> list[tuple[str, str]]:
    if isinstance(waiting, DeadLetter):
        return [
            ("Type", waiting.type),
            ("Routing key", waiting.routing_key),
            ("Attempts", str(waiting.attempts or "not known")),
            ("Reason", waiting.reason),
        ]
    return [
        ("Source", waiting.source),
        ("Vendor", waiting.vendor),
        ("Reason", waiting.reason),
        ("Content type", waiting.content_type),
    ]


def _headers(waiting: Waiting) -> list[tuple[str, str]]:
    return list(waiting.headers.items()) if isinstance(waiting, QuarantinedDelivery) else []
