"""What stands before every page: the Host, who is asking, where a form came from, the headers.

No action is done by GET. One by POST needs the role, a browser's word that our own page sent it
(`Sec-Fetch-Site`, or `Origin` where that is missing), and the token that only our own form has.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import structlog
from aiohttp import web

from relay.console.access import Access, Role, Visitor
from relay.console.rendering import Pages
from relay.errors import RelayError

log = structlog.get_logger("relay")

COOKIE = "relay_console"
VISITOR = web.RequestKey("visitor", Visitor)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
LIVENESS = "/livez"
_WITHOUT_LOGIN = ("/static/", "/login")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104  compared, not bound


class Guard:
    """Lets requests through to the pages, or not.

    Args:
        access: knows who somebody is.
        pages: renders errors.
        hosts: names by which browsers reach the console, beside loopback.
    """

    def __init__(self, *, access: Access, pages: Pages, hosts: Sequence[str]) -> None:
        self._access = access
        self._pages = pages
        names = [host for host in hosts if host not in _ANY_ADDRESS]
        self._hosts = {*_LOOPBACK_NAMES, *[_bracketed(name.lower()) for name in names]}

    async def prepare(self, _: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every answer has."""
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or say why not."""
        if request.path == LIVENESS:  # a kubelet asks by address, without a token
            return await handler(request)
        try:
            self._check_host(request)
            visitor = self._access.visitor(
                remote=request.remote or "",
                headers=request.headers,
                session=request.cookies.get(COOKIE, ""),
            )
            if visitor:
                request[VISITOR] = visitor
            elif not request.path.startswith(_WITHOUT_LOGIN):
                return self._ask_to_log_in(request)
            if request.method not in ("GET", "HEAD"):
                check_origin(request)
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            is_default = error.text in {None, f"{error.status}: {error.reason}"}
            text = f"{error.reason}." if is_default else str(error.text)
            return self._error(request, error.status, text)
        except RelayError as error:
            return self._error(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except TimeoutError:
            text = "RabbitMQ, or another part, did not answer in time."
            return self._error(request, HTTPStatus.SERVICE_UNAVAILABLE, text)

    def _check_host(self, request: web.Request) -> None:
        name = _host_name(request.headers.get("Host", ""))
        if name not in self._hosts:
            raise web.HTTPMisdirectedRequest(
                text="The console does not know this host name; enter it in console.hosts."
            )

    def _ask_to_log_in(self, request: web.Request) -> web.StreamResponse:
        is_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
        if is_page and self._access.has_tokens:
            raise web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='')}")
        return self._error(request, HTTPStatus.UNAUTHORIZED, "You have to log in for this.")

    def _error(self, request: web.Request, status: int, text: str) -> web.Response:
        return self._pages.response(
            "error.html", request.get(VISITOR), status=status, text=text, path=request.path
        )


def check_origin(request: web.Request) -> None:
    """Raise HTTPForbidden unless a browser says that a page of ours sent the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = urlsplit(request.headers.get("Origin", "")).netloc
        is_ours = bool(origin) and origin.lower() == request.headers.get("Host", "").lower()
    else:
        is_ours = site == "same-origin"
    if not is_ours:
        raise web.HTTPForbidden(text="This did not come from a page of the console.")


def needing(role: Role, handler: Handler) -> Handler:
    """Return a handler for those who have at least this role."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request[VISITOR].role < role:
            raise web.HTTPForbidden(text=f"This needs the role {role.name.lower()}.")
        return await handler(request)

    return handle


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form of ours.

    Raises:
        HTTPForbidden: it lacks our token, so it is not ours.
    """
    fields = {name: value for name, value in (await request.post()).items() if type(value) is str}
    expected = request[VISITOR].form_token.encode()
    if not hmac.compare_digest(fields.pop("form_token", "").encode(errors="replace"), expected):
        raise web.HTTPForbidden(text="This form is out of date; load the page again.")
    return fields


def log_action(visitor: Visitor, action: str, **about: object) -> None:
    """Log who did what."""
    log.info("console action", action=action, user=visitor.name, role=visitor.role.name.lower(),
             **about)  # fmt: skip


def _host_name(host: str) -> str:
    """Return a Host without its port."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
