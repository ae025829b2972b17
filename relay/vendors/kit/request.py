"""A delivery as a vendor's code sees it, coming in or going out. Pure values, no web framework."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from relay.vendors.kit.forms import form_fields

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_MAX_ANSWER_BYTES = 4096
_STATUSES = (200, 201, 202)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_FRAMING = {"connection", "content-length", "content-type", "date", "server", "transfer-encoding"}


class Request(NamedTuple):
    """An incoming delivery that nobody has checked yet.

    Args:
        body: the bytes sent, decompressed, at most `ingress.body_limit_bytes`.
        headers: case-insensitive, the first value of each name.
        query_string: as in the URL, without the question mark.
        path_secret: the path after the source's name and a slash, percent-decoded.
        method: POST; for a vendor with `answer` also GET, HEAD or OPTIONS.
        url: the request target as the caller sent it, query included: most often a path, but
            absolute where the caller sent that (RFC 9112, 3.2). A proxy may have changed it, so a
            signature over the URL needs the public one from the settings.
        received_at: seconds since 1970, or None where nobody knows.
    """

    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    query_string: str = ""
    path_secret: str | None = None
    method: str = "POST"
    url: str = ""
    received_at: float | None = None

    def query(self, name: str) -> list[str]:
        """Return every value that the query has for name.

        A `+` is a space in a form, but secrets are often pasted as they are: such a query is read
        in both ways.
        """
        fields = self.query_fields()
        if "+" in self.query_string:
            fields += form_fields(self.query_string.replace("+", "%2B"))
        return [value for key, value in fields if key == name]

    def path_secrets(self) -> list[str]:
        """Return what may be a secret in the path: as it stands, and without a slash at its end."""
        if self.path_secret is None:
            return []
        return list(dict.fromkeys([self.path_secret, self.path_secret.removesuffix("/")]))

    def query_fields(self) -> list[tuple[str, str]]:
        """Return the query as (name, value) pairs; no pairs at all if there are too many."""
        return form_fields(self.query_string) if self.query_string else []


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRequest:
    """A request as the vendor would send it: what `relay send` and the tests post.

    Args:
        body: to send.
        headers: to send.
        query: of the URL.
        path_secret: what comes behind the source's name in the path.
        method: POST, or that of a question.
        expects: what the answer to a question must be, if that is known.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path_secret: str | None = None
    method: str = "POST"
    expects: str | None = None

    def as_received(self, now: float | None = None) -> Request:
        """Return it as it comes in, at a time in seconds since 1970."""
        return Request(
            body=self.body,
            headers={name.lower(): value for name, value in self.headers.items()},
            query_string=urlencode(self.query),
            path_secret=self.path_secret,
            method=self.method,
            received_at=now,
        )


class Echo(NamedTuple):
    """A live token that the vendor wants to read in the answer.

    Args:
        token: equal to a configured secret; nothing else is ever echoed.
        shape: how the token came. "object": in a header, the query or a JSON object. The others
            say that the body was the token alone: as a JSON "string", bare "text" or a "form".
    """

    token: str
    shape: Literal["object", "string", "text", "form"] = "object"

    @property
    def is_handshake(self) -> bool:
        """Return whether the body was the token alone, so that it holds no events."""
        return self.shape != "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a vendor wants to read in answer to a question of its own. Nothing is stored.

    It is sent with `X-Content-Type-Options: nosniff` and `Cache-Control: no-store`. What of it
    the caller sent should be text, and is best only answered to a caller who knows a secret.

    Args:
        body: at most 4096 bytes; to `HEAD` it is left out.
        content_type: of the body.
        status: 200, 201 or 202.
        headers: further ones, of printable ASCII.

    Raises:
        ValueError: one of these is not so.
    """

    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.body) > _MAX_ANSWER_BYTES or self.status not in _STATUSES:
            raise ValueError("an answer is too long, or has a status that is none of a success")
        if any(name.lower() in _FRAMING for name, _ in self.headers):
            raise ValueError("an answer has no header that says how it is framed")
        for name, value in (("content-type", self.content_type), *self.headers):
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
                raise ValueError(f"an answer can't have this header: {name}")
