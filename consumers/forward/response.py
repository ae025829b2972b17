"""What an endpoint's response means for the event. Pure.

    2xx                     delivered
    307, 308                the same request again, to where it says
    400, 413, 415, 422      rejected: the same bytes will never be accepted; the endpoint is up
    410                     gone: nothing more is sent but a probe now and then
    407                     its proxy lets nobody through: down
    429, 502, 503, 504      down or overloaded; so are 521 to 524, which Cloudflare answers for it
    all others              failed: another attempt may succeed. When event after event fails, the
                            endpoint is broken, and paused

By the Standard Webhooks specification, a sender disables an endpoint that answers 410. Some do so
while they shut down, and nobody would notice. So it is paused only: its events are kept, and it
comes back by itself if that was a mistake.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from yarl import URL

from consumers.kit.retry_after import wait_s

REDIRECTS = frozenset({307, 308})
"""The ones that keep method and body (RFC 9110, 15.4)."""

_REJECTED = {400, 413, 415, 422}
_DOWN = {407, 429, 502, 503, 504, 521, 522, 523, 524}
_GONE = 410
_NO_URL = "redirected to no http or https URL"


class ResultKind(StrEnum):
    """What a request came to."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    FAILED = "failed"
    DOWN = "down"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What one request came to.

    Args:
        kind: what it means.
        reason: what the endpoint did, to follow its name: "answered 503 Service Unavailable".
        retry_after_s: how long to pause, if it is down and says so.
    """

    kind: ResultKind
    reason: str
    retry_after_s: float | None = None


def result_of(status: int, retry_after: str | None, *, now: float) -> DeliveryResult:
    """Return what a response means.

    Args:
        status: of HTTP; no redirect that is followed.
        retry_after: the header `Retry-After`; used only if the endpoint is down.
        now: seconds since 1970.
    """
    kind = _kind(status)
    return DeliveryResult(
        kind=kind,
        reason=f"answered {status} {_phrase(status)}".rstrip(),
        retry_after_s=wait_s(retry_after, now=now) if kind is ResultKind.DOWN else None,
    )


def redirect_target(url: URL, location: str | None) -> URL | DeliveryResult:
    """Return where a redirect leads, or that it failed: it may not leave https or hold a login.

    Args:
        url: what was called.
        location: the header `Location`. It is not logged: it may hold a token.
    """
    try:
        target = url.join(URL(location or ""))
    except ValueError:
        return _failed(_NO_URL)
    if not (location and target.host and target.scheme in {"http", "https"}):
        return _failed(_NO_URL)
    if url.scheme == "https" and target.scheme == "http":
        return _failed("redirected from https to http")
    if target.user is not None or target.password is not None:
        return _failed("redirected to a URL with a user name")
    return target


def _failed(reason: str) -> DeliveryResult:
    return DeliveryResult(kind=ResultKind.FAILED, reason=reason)


def _kind(status: int) -> ResultKind:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return ResultKind.DELIVERED
    if status == _GONE:
        return ResultKind.GONE
    if status in _REJECTED:
        return ResultKind.REJECTED
    return ResultKind.DOWN if status in _DOWN else ResultKind.FAILED


def _phrase(status: int) -> str:
    """Return the standard's words for a status: the endpoint's own could be anything."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
