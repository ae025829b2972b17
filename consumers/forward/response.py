"""What an endpoint's answer means for the event. Pure.

    2xx                     delivered
    307, 308                the same request again, to where it says
    400, 413, 415, 422      rejected: the same bytes will never be accepted; the endpoint is up
    410                     gone: nothing more is sent but a probe now and then
    429, 502, 503, 504      down or overloaded, and so is what Cloudflare answers for it, 521 to 524
    all others              failed: another attempt may succeed, once something was mended; when
                            it is one event after another, the endpoint is broken, and paused

The Standard Webhooks specification has a sender disable an endpoint that answers 410. Some answer
so while they shut down, and nobody is told; so it is paused, its events are kept, and it comes
back by itself if that was a mistake.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from yarl import URL

from consumers.kit.retry_after import wait_s

REDIRECTS = frozenset({307, 308})
"""The ones that keep method and body (RFC 9110, 15.4)."""

_REJECTED = {400, 413, 415, 422}
_DOWN = {429, 502, 503, 504, 521, 522, 523, 524}
_GONE = 410
_NO_URL = "redirected to no http or https URL"


class Verdict(StrEnum):
    """What became of one request."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    FAILED = "failed"
    DOWN = "down"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one request.

    Args:
        verdict: what it means.
        reason: what the endpoint did, to follow its name: "answered 503 Service Unavailable".
        retry_after_s: how long it wants to be left alone, if it is down and says so.
    """

    verdict: Verdict
    reason: str
    retry_after_s: float | None = None


def outcome_of(status: int, retry_after: str | None, *, now: float) -> Outcome:
    """Return what an answer means.

    Args:
        status: of HTTP; no redirect that is followed.
        retry_after: the header `Retry-After`. Only an endpoint that is down is taken at its word.
        now: seconds since 1970.
    """
    verdict = _verdict(status)
    return Outcome(
        verdict=verdict,
        reason=f"answered {status} {_phrase(status)}".rstrip(),
        retry_after_s=wait_s(retry_after, now=now) if verdict is Verdict.DOWN else None,
    )


def redirected(url: URL, location: str | None) -> URL | Outcome:
    """Return where a redirect leads, or that it failed: it may not leave https, nor log in.

    Args:
        url: what was called.
        location: the header `Location`. It is not shown: it may hold a token.
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


def _failed(reason: str) -> Outcome:
    return Outcome(verdict=Verdict.FAILED, reason=reason)


def _verdict(status: int) -> Verdict:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.DELIVERED
    if status == _GONE:
        return Verdict.GONE
    if status in _REJECTED:
        return Verdict.REJECTED
    return Verdict.DOWN if status in _DOWN else Verdict.FAILED


def _phrase(status: int) -> str:
    """Return our own words for a status: the endpoint's could be anything."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
