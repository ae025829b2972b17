"""The HTTP answers for probes and Prometheus: `/livez`, `/readyz`, `/metrics`."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


def application(
    *,
    readiness: Callable[[], Awaitable[dict[str, object]]],
    refresh: Callable[[], Awaitable[None]],
    registry: CollectorRegistry,
) -> web.Application:
    """Return the web application to serve, never on a public port.

    Args:
        readiness: returns the body of `/readyz`; its `ready` decides between 200 and 503.
        refresh: sets the gauges, before each scrape.
        registry: what `/metrics` shows.
    """

    async def livez(_: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        answer = await readiness()
        return _json(answer, status=200 if answer["ready"] else 503)

    async def metrics(_: web.Request) -> web.Response:
        await refresh()
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(answer), status=status, content_type="application/json")
