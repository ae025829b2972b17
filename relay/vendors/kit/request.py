"""A delivery as a vendor's code sees it, coming in or going out. Pure values, no web framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl

MAX_QUERY_FIELDS = 64
"""More query parameters than any vendor sends; the rest is not looked at."""


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """An incoming delivery, before anyone has checked it.

    Args:
        body: the bytes sent, decompressed, at most `ingress.body_limit_bytes`.
        headers: case-insensitive, first value per name.
        query_string: as in the URL, without the question mark.
        path_secret: the path segment after the source's name, percent-decoded.
    """

    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    query_string: str = ""
    path_secret: str | None = None

    def query(self, name: str) -> list[str]:
        """Return every value the query gives for name."""
        return [value for key, value in self.query_fields() if key == name]

    def query_fields(self) -> list[tuple[str, str]]:
        """Return the query as (name, value) pairs; nothing at all if there are too many."""
        return form_fields(self.query_string) if self.query_string else []


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRequest:
    """A request as the vendor would send it: what `relay send` and the tests post."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path_secret: str | None = None


class Echo(NamedTuple):
    """A live token the vendor wants to read back in the answer.

    Args:
        token: equal to a configured secret; nothing else is ever echoed.
        shape: how it came. "object": in a header, the query or a JSON object. For the others
            the body was nothing but the token: "string" (JSON), "text" (bare) or "form".
    """

    token: str
    shape: Literal["object", "string", "text", "form"] = "object"

    @property
    def is_handshake(self) -> bool:
        """Tell whether the body was nothing but the token, so that there are no events in it."""
        return self.shape != "object"


def form_fields(text: str) -> list[tuple[str, str]]:
    """Read `application/x-www-form-urlencoded` text; nothing at all if it has too many fields."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        return []
