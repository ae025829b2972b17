"""The HTTP answers of an admin port: `/livez`, `/readyz`, `/metrics` and further documents."""

import re
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from types import MappingProxyType

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from relay.errors import NotForBrowsers, Refused
from relay.observability import exposition

Document = Callable[[Mapping[str, str]], Awaitable[object]]
Action = Callable[[str, Mapping[str, str], object], Awaitable[object]]
_NO_ACTIONS: Mapping[str, Action] = MappingProxyType({})
_PORT = re.compile(r":[0-9]+$")
_LOCAL_NAMES = ("localhost", "worker")  # the latter on a socket of the file system
_MAX_ORDER_BYTES = 4096
_NO_DOCUMENTS: Mapping[str, Document] = MappingProxyType({})


def application(
    *,
    readiness: Callable[[], Awaitable[dict[str, object]]],
    refresh: Callable[[], Awaitable[None]],
    registry: CollectorRegistry,
    documents: Mapping[str, Document] = _NO_DOCUMENTS,
    actions: Mapping[str, Action] = _NO_ACTIONS,
) -> web.Application:
    """Return the web application to serve, never on a public port.

    Args:
        readiness: returns the body of `/readyz`; its `ready` decides between 200 and 503.
        refresh: sets the gauges, before each scrape.
        registry: what `/metrics` shows.
        documents: return the bodies of further answers, by their paths. They get the query, and
            may raise Refused.
        actions: likewise, for GET, POST and DELETE, and for no browser. They get the method, the
            query, and the JSON that was sent.
    """

    async def livez(_: web.Request) -> web.Response:
        return _json({"alive": True})

    async def readyz(_: web.Request) -> web.Response:
        answer = await readiness()
        return _json(answer, status=200 if answer["ready"] else 503)

    async def metrics(_: web.Request) -> web.Response:
        await refresh()
        body = await exposition.text_of(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=_MAX_ORDER_BYTES)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    for path, document in documents.items():
        app.router.add_get(path, _answering(document))
    for path, action in actions.items():
        for method in ("GET", "POST", "DELETE"):
            app.router.add_route(method, path, _acting(action))
    return app


def _acting(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            _require_no_browser(request)
            body = await request.read()
            document = orjson.loads(body) if request.method == "POST" else None
            return _json(await action(request.method, request.query, document))
        except orjson.JSONDecodeError:
            return _json({"type": Refused.slug, "detail": "the body is not JSON"}, Refused.status)
        except web.HTTPRequestEntityTooLarge:
            detail = f"the body has more than {_MAX_ORDER_BYTES} bytes"
            return _json({"type": Refused.slug, "detail": detail}, Refused.status)
        except Refused as error:
            return _json({"type": error.slug, "detail": str(error)}, error.status)

    return answer


def _require_no_browser(request: web.Request) -> None:
    """Raise Refused for what a page in a browser sent, or could read once its name was rebound.

    Browsers send Sec-Fetch-Site with every request, and Origin with those that change something
    (https://www.w3.org/TR/fetch-metadata/). A page that had its own name point here would still
    send that name as Host.
    """
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        raise NotForBrowsers("this is not for browsers")
    name = request.host.rpartition(":")[0] if _PORT.search(request.host) else request.host
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        if name not in _LOCAL_NAMES:
            raise NotForBrowsers("ask for this by address, such as 127.0.0.1") from None


def _answering(document: Document) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            return _json(await document(request.query))
        except Refused as error:
            return _json({"type": error.slug, "detail": str(error)}, error.status)

    return answer


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(answer), status=status, content_type="application/json")
