"""The HTTP answers of an admin port: `/livez`, `/readyz`, `/metrics` and further documents."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from relay.errors import Refused

Document = Callable[[Mapping[str, str]], Awaitable[object]]
_NO_DOCUMENTS: Mapping[str, Document] = MappingProxyType({})


def application(
    *,
    readiness: Callable[[], Awaitable[dict[str, object]]],
    refresh: Callable[[], Awaitable[None]],
    registry: CollectorRegistry,
    documents: Mapping[str, Document] = _NO_DOCUMENTS,
) -> web.Application:
    """Return the web application to serve, never on a public port.

    Args:
        readiness: returns the body of `/readyz`; its `ready` decides between 200 and 503.
        refresh: sets the gauges, before each scrape.
        registry: what `/metrics` shows.
        documents: return the bodies of further answers, by their paths. They get the query, and
            may raise Refused.
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
    for path, document in documents.items():
        app.router.add_get(path, _answering(document))
    return app


def _answering(document: Document) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            return _json(await document(request.query))
        except Refused as error:
            return _json({"type": error.slug, "detail": str(error)}, error.status)

    return answer


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(answer), status=status, content_type="application/json")
