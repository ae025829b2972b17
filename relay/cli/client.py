"""The vendor's side of HTTP: one POST per delivery, and what the relay answered.

And the operator's: what the admin port answers.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import aiohttp
import orjson
from yarl import URL

from relay.errors import Malformed, RelayError
from relay.process.rate_limiter import RateLimiter
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import mapping, sequence
from relay.vendors.kit.request import OutgoingRequest

_TIMEOUT_S = 30
_MAX_DOCUMENT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to make.

    Args:
        source: name of the endpoint.
        name: shown with the result.
        delivery: what to send.
        token: what the answer must contain, if anything.
    """

    source: str
    name: str
    delivery: OutgoingRequest = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What may be shown of an answer: never the body itself, which may contain the token.

    Args:
        status: the HTTP status.
        outcome: a word or two.
        reason: why it was quarantined or refused, else "".
        ids: of the events, or of the quarantined delivery.
        quarantined: reason and id of each element that was quarantined alone.
        is_ok: whether the status is 200, and the token came back if there is one.
    """

    status: int
    outcome: str
    reason: str = ""
    ids: tuple[str, ...] = ()
    quarantined: tuple[tuple[str, str], ...] = ()
    is_ok: bool = True


async def post_all(
    base: str,
    makers: Iterable[Callable[[], Call]],
    show: Callable[[Call, CallResult], None],
    *,
    per_s: float = math.inf,
) -> tuple[int, int]:
    """Make the calls one after the other, and show each result.

    Args:
        base: URL of the relay.
        makers: what makes each call, when its turn comes, as a signature may hold the time.
        show: what to do with a result.
        per_s: calls per second at most.

    Returns:
        How many calls were made, and how many of them failed.

    Raises:
        RelayError: base can't be reached, or does not answer.
    """
    address = _origin(base)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    limiter = RateLimiter(per_s)
    made = failures = 0
    async with aiohttp.ClientSession(timeout=timeout) as http:
        for make in makers:
            await asyncio.sleep(limiter.reserve(time.monotonic()))
            call = make()
            with _saying_what_failed(address):
                result = await _post(http, base, call)
            show(call, result)
            made += 1
            failures += not result.is_ok
    return made, failures


async def admin_document(
    base: str,
    path: str,
    method: str = "GET",
    *,
    document: Mapping[str, Any] | None = None,
    max_bytes: int = _MAX_DOCUMENT_BYTES,
) -> Any:
    """Return the JSON that an admin port answers.

    Args:
        base: the URL of the port.
        path: with its query.
        method: such as POST.
        document: what is sent.
        max_bytes: of the answer.

    Raises:
        RelayError: base can't be reached, refuses, or answers something else.
    """
    address, body = _origin(base), bytearray()
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    with (
        contextlib.suppress(Malformed),
        _saying_what_failed(address, ", and is this its admin port"),
    ):
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(
                method, f"{address}{path}", json=document, allow_redirects=False
            ) as response,
        ):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    break
            if len(body) <= max_bytes:
                answer = raw_json.parse(bytes(body))
                if response.status == HTTPStatus.OK:
                    return answer
                _raise_detail(f"{address} refuses {path}", answer)
    raise RelayError(f"{address} has no {path}: it is no admin port of a relay as new as this one.")


@contextlib.contextmanager
def _saying_what_failed(address: str, doubt: str = "") -> Iterator[None]:
    """Raise RelayError where an address can't be reached, or does not answer."""
    try:
        yield
    except TimeoutError as error:
        raise RelayError(f"{address} did not answer within {_TIMEOUT_S} s.") from error
    except aiohttp.ClientConnectorError as error:
        raise RelayError(
            f"{address} can't be reached ({error.os_error.strerror}); "
            f"is `relay serve` running there{doubt}?"
        ) from error
    except aiohttp.ClientError as error:  # its text may hold the URL, and that the secret
        raise RelayError(f"{address} broke off: {type(error).__name__}.") from error


def _raise_detail(what: str, answer: Any) -> None:
    """Raise what a refusal says, if it says anything."""
    if detail := mapping(answer).get("detail"):
        raise RelayError(f"{what}: {detail}.")


def _origin(base: str) -> str:
    """Return scheme, host and port of a base URL, which must be http or https.

    Raises:
        RelayError: it is not.
    """
    try:
        url = URL(base)
        origin = url.origin()
    except ValueError as error:
        raise RelayError("--url must be like http://127.0.0.1:8080.") from error
    if url.scheme not in {"http", "https"} or url.user:
        raise RelayError("--url must be http:// or https://, without a user name.")
    return str(origin)


async def _post(http: aiohttp.ClientSession, base: str, call: Call) -> CallResult:
    url = _url(base, call.source, call.delivery)
    headers = call.delivery.headers
    async with http.request(
        call.delivery.method, url, data=call.delivery.body, headers=headers, allow_redirects=False
    ) as response:
        return _result(response.status, await response.read(), call.token)


def _url(base: str, source: str, delivery: OutgoingRequest) -> URL:
    path = f"{base.rstrip('/')}/in/{source}"
    if delivery.path_secret:
        path += "/" + quote(delivery.path_secret, safe="")
    query = urlencode(delivery.query, quote_via=quote, safe="")
    return URL(f"{path}?{query}" if query else path, encoded=True)


def _result(status: int, body: bytes, token: str | None) -> CallResult:
    answer = _parsed(body)
    members = mapping(answer)
    if status != HTTPStatus.OK:
        reason = str(members.get("type", ""))
        return CallResult(status=status, outcome="refused", reason=reason, is_ok=False)
    if token is not None:
        is_ok = token in _tokens(answer, body)
        outcome = "token came back" if is_ok else "token did not come back"
        return CallResult(status=status, outcome=outcome, is_ok=is_ok)
    if members.get("status") == "quarantined":
        reason, quarantined_id = str(members.get("reason")), str(members.get("id"))
        return CallResult(
            status=status, outcome="quarantined", reason=reason, ids=(quarantined_id,)
        )
    ids = tuple(map(str, sequence(members.get("events"))))
    apart = tuple(
        (str(element.get("reason")), str(element.get("id")))
        for element in map(mapping, sequence(members.get("quarantined")))
    )
    return CallResult(status=status, outcome="accepted", ids=ids, quarantined=apart)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _tokens(answer: object, body: bytes) -> list[object]:
    """Return what may be a token in the answer: as JSON, in a form, or as plain text."""
    text = body.decode(errors="replace")
    return [answer, mapping(answer).get("token"), *parse_qs(text).get("token", []), text]
