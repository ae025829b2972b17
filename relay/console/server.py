"""The console's process: its parts put together, its pages by path, its listener."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from importlib import resources

from aiohttp import web

from relay.console.access import Access, Role
from relay.console.deployment import Deployment
from relay.console.events import EventPages
from relay.console.feed.pages import Feed
from relay.console.guard import COOKIE, LIVENESS, Guard, needing, read_form
from relay.console.rendering import Pages
from relay.console.status import StatusPages
from relay.console.triage.actions import Actions
from relay.console.triage.pages import Triage
from relay.console.triage.waiting import WaitingReader
from relay.console.watching.history import PolledHistory
from relay.console.watching.polling import http_session
from relay.process import systemd, tasks
from relay.process.listeners import listening

_MAX_FORM_BYTES = 65_536
_STATIC = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_SHUTDOWN_S = 2.0


async def serve(deployment: Deployment) -> None:
    """Run the console until SIGTERM.

    Raises:
        RelayError: its address is taken.
    """
    stop = tasks.stop_signal()
    console = deployment.console
    async with running(deployment) as (application, parts):
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        async with listening(runner, console.host, console.port, "console"), systemd.notifying():
            await tasks.first(stop.wait(), *parts)


@contextlib.asynccontextmanager
async def running(
    deployment: Deployment,
) -> AsyncIterator[tuple[web.Application, Sequence[asyncio.Task[None]]]]:
    """Run what the pages are made of while the context is open; yield the application."""
    async with http_session() as http:
        history = PolledHistory()
        queues = deployment.queue_watch()
        poller = deployment.poller(http, queues, history)
        pages = Pages({"exchange": deployment.exchange, "is_open": deployment.access.is_open})
        status = StatusPages(
            deployment=deployment, pages=pages, poller=poller, queues=queues, history=history
        )
        guard = Guard(access=deployment.access, pages=pages, hosts=deployment.hosts)
        application = web.Application(
            middlewares=[guard.middleware], client_max_size=_MAX_FORM_BYTES
        )
        application.on_response_prepare.append(guard.prepare)
        _add_login(application, deployment.access, pages)
        _add_files(application)
        _add_status(application, status)
        reader = WaitingReader(deployment.connecting, queues)
        actions = Actions(deployment, reader)
        _add_triage(
            application,
            Triage(deployment=deployment, pages=pages, reader=reader, actions=actions),
        )
        feed = Feed(deployment=deployment, poller=poller, http=http, pages=pages)
        _add_events(application, deployment, pages, feed)
        async with (
            tasks.task("queues", queues.run()) as watching,
            tasks.task("poller", poller.run()) as polling,
            tasks.task("settings", deployment.follow()) as following,
        ):
            try:
                yield application, (watching, polling, following)
            finally:
                feed.stop()
                await actions.stop()


def _add_status(application: web.Application, status: StatusPages) -> None:
    """Add the pages that show how things are."""
    router = application.router
    router.add_get("/", needing(Role.VIEWER, status.overview))
    router.add_get("/system", needing(Role.VIEWER, status.system))
    router.add_get("/catalogue", needing(Role.VIEWER, status.catalogue))
    router.add_get("/asyncapi.json", needing(Role.VIEWER, status.asyncapi))


def _add_events(
    application: web.Application, deployment: Deployment, pages: Pages, feed: Feed
) -> None:
    """Add the feed, the page of an event, and the search."""
    archive, name = deployment.archive
    events = EventPages(
        deployment=deployment, pages=pages, feed=feed, archive=archive, archive_name=name
    )
    router = application.router
    router.add_get("/feed", needing(Role.VIEWER, feed.page))
    router.add_get("/feed/stream", needing(Role.VIEWER, feed.stream), allow_head=False)
    router.add_get("/search", needing(Role.VIEWER, events.search))
    router.add_get("/event/{id}", needing(Role.VIEWER, events.event))
    router.add_post("/event/{id}", needing(Role.OPERATOR, events.unmasked_event))
    router.add_get("/event/{id}/download", needing(Role.OPERATOR, events.download))


def _add_triage(application: web.Application, triage: Triage) -> None:
    """Add the pages of what waits for a person."""
    router = application.router
    router.add_get("/triage", needing(Role.VIEWER, triage.overview))
    router.add_get("/triage/group", needing(Role.VIEWER, triage.group))
    router.add_get("/triage/message", needing(Role.READER, triage.message))
    router.add_post("/triage/message", needing(Role.OPERATOR, triage.unmasked_message))
    router.add_get("/triage/sample", needing(Role.OPERATOR, triage.sample))
    router.add_post("/triage/try", needing(Role.READER, triage.try_out))
    router.add_post("/triage/act", needing(Role.OPERATOR, triage.act))


def _add_login(application: web.Application, access: Access, pages: Pages) -> None:
    """Add the pages by which one logs in and out."""

    async def form(request: web.Request) -> web.StreamResponse:
        return pages.response(
            "login.html", None, path="/login", next=_local(request.query.get("next", "")), error=""
        )

    async def log_in(request: web.Request) -> web.StreamResponse:
        fields = await request.post()
        target = _local(str(fields.get("next", "")))
        session = access.log_in(str(fields.get("token", "")))
        if session is None:
            error = "This token is wrong, or too many wrong ones were tried; wait a minute."
            return pages.response(
                "login.html", None, status=401, path="/login", next=target, error=error
            )
        answer = web.HTTPSeeOther(target)
        is_https = request.secure or request.headers.get("Origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE, session, httponly=True, samesite="Strict", secure=is_https, path="/"
        )
        raise answer

    async def log_out(request: web.Request) -> web.StreamResponse:
        await read_form(request)
        access.log_out(request.cookies.get(COOKIE, ""))
        answer = web.HTTPSeeOther("/login")
        answer.del_cookie(COOKIE)
        raise answer

    application.router.add_get("/login", form)
    application.router.add_post("/login", log_in)
    application.router.add_post("/logout", needing(Role.VIEWER, log_out))


def _local(target: str) -> str:
    r"""Return a path of ours; browsers take `//host` and `/\host` for another one."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_local and target.isprintable() else "/"


def _add_files(application: web.Application) -> None:
    """Add the style sheet, the script and the icon, and the answer that the process lives."""

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    application.router.add_get(LIVENESS, livez)
    directory = resources.files("relay.console") / "static"
    for name, content_type in _STATIC.items():
        body = (directory / name).read_bytes()

        async def answer(
            _: web.Request, body: bytes = body, content_type: str = content_type
        ) -> web.Response:
            return web.Response(
                body=body, content_type=content_type, headers={"Cache-Control": "no-cache"}
            )

        application.router.add_get(f"/static/{name}", answer)
