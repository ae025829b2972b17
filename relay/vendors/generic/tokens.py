"""Tokens: the caller knows a secret, and says it in one of these places. Pure."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

import orjson

from relay.errors import Malformed, Unauthenticated
from relay.events.json_pointers import Steps
from relay.events.redaction import MARK
from relay.vendors.generic import forms
from relay.vendors.generic.pointers import find_all, spans
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.headers import only
from relay.vendors.kit.request import OutgoingRequest, Request

_MAX_TOKENS = 1_000
"""In one body: each is compared with each secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRule:
    """Where a sender says its token. Several places may be named; it need be in one of them.

    Args:
        header: in lower case, or "".
        value: what is before the token in that header, and behind it.
        query: the name of the parameter, or "".
        is_in_path: whether it may be the path behind the source's name.
        body: where in the body, or None; with a `*`, each that it leads to must be a live one.
        is_bearer: whether it may be in `Authorization: Bearer`.
        basic: the user name of HTTP basic authentication; "" for any, None for no such place.
    """

    header: str = ""
    value: tuple[str, str] = ("", "")
    query: str = ""
    is_in_path: bool = False
    body: Steps | None = None
    is_bearer: bool = False
    basic: str | None = None

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """Any text may be a token."""

    def verify(self, request: Request, secrets: Secrets) -> str:
        """Return "": which secret it was does not matter.

        Raises:
            Unauthenticated: none of them is where it should be.
        """
        outside = [*self._outside_body(request)]
        matches = [secrets.matches(token) for token in outside]
        if any(matches):
            return ""
        inside = self._in_body(request)
        if inside and _all_match(inside, secrets):
            return ""
        reason = "token_wrong" if any(outside) or any(inside) else "token_missing"
        raise Unauthenticated("no live token where the settings say it is", reason)

    def _outside_body(self, request: Request) -> Iterator[str]:
        if self.header:
            yield from self._in_header(request)
        if self.query:
            yield from request.query(self.query)
        if self.is_in_path:
            yield from request.path_secrets()
        if self.is_bearer or self.basic is not None:
            yield from self._in_authorization(request)

    def _in_header(self, request: Request) -> Iterator[str]:
        before, behind = self.value
        value = only(request.headers, self.header, "token_wrong") or ""
        is_as_said = value.startswith(before) and value.endswith(behind)
        if value and is_as_said and len(value) > len(before) + len(behind):
            yield value[len(before) : len(value) - len(behind)]

    def _in_authorization(self, request: Request) -> Iterator[str]:
        authorization = only(request.headers, "authorization", "token_wrong") or ""
        scheme, _, credentials = authorization.partition(" ")
        if self.is_bearer and scheme.lower() == "bearer":
            yield credentials.strip()
        if self.basic is None or scheme.lower() != "basic":
            return
        try:
            decoded = base64.b64decode(credentials.strip().encode("ascii"), validate=True).decode()
        except (binascii.Error, UnicodeError):
            return
        user, _, password = decoded.partition(":")
        if self.basic in ("", user):
            yield password
            if not self.basic:
                yield decoded

    def _in_body(self, request: Request) -> list[str]:
        """Return what is said in the body; "" for what is no text, which no secret is."""
        if self.body is None:
            return []
        if forms.is_form(request):
            (name, *_) = self.body
            return [value for key, value in forms.pairs(request.body) if key == name]
        try:
            value = raw_json.parse(raw_json.repair(raw_json.strip_bom(request.body)))
        except Malformed:
            return []
        found = find_all(value, self.body)[:_MAX_TOKENS]
        return [token if type(token) is str else "" for token in found]

    def without_token(self, raw: bytes, *, is_form: bool) -> bytes:
        """Return a body that is JSON, or a form, without the token that it says."""
        if self.body is None:
            return raw
        if is_form:
            parts = raw.decode(errors="replace").split("&")
            kept = [part for part in parts if unquote_plus(part.partition("=")[0]) != self.body[0]]
            return "&".join(kept).encode()
        text, cut, end = raw.decode(), [], 0
        for start, stop in spans(text, self.body):
            cut += [text[end:start], orjson.dumps(MARK.decode()).decode()]
            end = stop
        return "".join([*cut, text[end:]]).encode()

    def sign(self, request: OutgoingRequest, secret: str, now: float) -> OutgoingRequest:  # noqa: ARG002  other rules need the time
        """Return a request with its token in the first place that is named."""
        headers, query = dict(request.headers), dict(request.query)
        body, path_secret = request.body, None
        before, behind = self.value
        if self.header:
            headers[self.header] = f"{before}{secret}{behind}"
        elif self.is_bearer:
            headers["Authorization"] = f"Bearer {secret}"
        elif self.query:
            query[self.query] = secret
        elif self.is_in_path:
            path_secret = secret
        elif self.basic is not None:
            user = f"{self.basic}:{secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
        elif self.body:
            body = _with_token(body, self.body, secret)
        return OutgoingRequest(
            body=body,
            headers=headers,
            query=query,
            path_secret=path_secret,
            method=request.method,
        )


def _all_match(tokens: list[str], secrets: Secrets) -> bool:
    matches = [secrets.matches(token) for token in tokens]
    return all(matches)


def _with_token(body: bytes, steps: Steps, secret: str) -> bytes:
    """Return a JSON body with the secret at each place that steps lead to, made if need be."""
    try:
        text = raw_json.strip_bom(body).decode()
        places = list(spans(text, steps)) if raw_json.parse(text.encode()) is not None else []
    except (Malformed, UnicodeError):
        return body
    if not places and len(steps) == 1 and text.startswith("{"):
        inner = text[1:].lstrip()
        comma = "" if inner == "}" else ","
        member = f"{orjson.dumps(steps[0]).decode()}:{orjson.dumps(secret).decode()}"
        return f"{{{member}{comma}{text[1:]}".encode()
    for start, stop in reversed(places):
        text = text[:start] + orjson.dumps(secret).decode() + text[stop:]
    return text.encode()
