"""A delivery as a vendor's code sees it, coming in or going out. Pure values, no web framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from relay.vendors.kit.forms import form_fields

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Request(NamedTuple):
    """An incoming delivery that nobody has checked yet.

    Args:
        body: the bytes sent, decompressed, at most `ingress.body_limit_bytes`.
        headers: case-insensitive, the first value of each name.
        query_string: as in the URL, without the question mark.
        path_secret: the path after the source's name and a slash, percent-decoded.
    """

    body: bytes
    headers: Mapping[str, str] = _NO_HEADERS
    query_string: str = ""
    path_secret: str | None = None

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
    """A request as the vendor would send it: what `relay send` and the tests post."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path_secret: str | None = None


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
