"""What senders ask before they send events, or now and then, and what they want to read. Pure.

An answer holds at most 1 kB of what the caller sent, and only once the caller has proved who it
is. Three kinds come from a caller that can't: `graph`, `dropbox` and `asana`. They are answered
because the settings ask for them by name; with `token` only if it is in the URL.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from relay.errors import Malformed, Unauthenticated
from relay.events.json_pointers import find
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets, require_secret, signature_of
from relay.vendors.kit.fields import text
from relay.vendors.kit.request import Answer, Request

CHALLENGES = (
    *("none", "meta", "slack", "crc", "zoom", "graph", "dropbox", "okta", "asana"),
    *("cloudevents", "discord", "front"),
)
WITH_TOKEN = ("meta", "graph", "dropbox", "asana")
"""Those that `token` is for."""
OF_TOKENS = ("okta", "cloudevents")
"""Those whose question carries the token that events carry, so that is what `verify` must be."""

MAX_REFLECTED_BYTES = 1024

_BY_GET = ("meta", "crc", "dropbox", "okta")

_JSON = "application/json"
_ORIGIN = re.compile(r"[A-Za-z0-9.:\[\]-]{1,253}")
_RATE = re.compile(r"[1-9][0-9]{0,9}|\*")
_HOOK_SECRET = re.compile(r"[\x21-\x7e]{1,1024}")
_CRC_TOKEN = re.compile(r"[A-Za-z0-9_=+/.~-]{1,256}")


class Proof(Protocol):
    """How a sender proves who it is; see verify.py."""

    def verify(self, request: Request, secrets: Secrets) -> str:
        """Return the secret that the request was signed with, or raise Unauthenticated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a sender asks.

    Args:
        kind: one of CHALLENGES.
        tokens: what `meta` sends with its question, or what must be in the URL; without any, a
            live secret of `meta`, and nothing of the others.
    """

    kind: str = "none"
    tokens: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in which it is asked."""
        if self.kind == "none":
            return ()
        if self.kind == "cloudevents":
            return ("OPTIONS",)
        return ("GET", "HEAD") if self.kind in _BY_GET else ("POST",)

    def answer(self, request: Request, secrets: Secrets, rule: Proof | None) -> Answer | None:
        """Return the answer to a question by GET, HEAD or OPTIONS; None if it is none.

        Raises:
            Unauthenticated: the caller knows no secret.
        """
        is_options = request.method == "OPTIONS"
        match self.kind:
            case "cloudevents" if is_options:
                return _allowed_origin(request, secrets, rule)
            case "meta" if not is_options:
                return self._subscription(request, secrets)
            case "crc" if not is_options:
                return _crc(request, secrets)
            case "dropbox" if not is_options:
                return self._of_url(request, _parameter(request, "challenge"))
            case "okta" if not is_options:
                return _okta(request, secrets, rule)
        return None

    def answer_unsigned(self, request: Request) -> Answer | None:
        """Return the answer to a POST that nothing signs; None if it is no such question.

        Raises:
            Unauthenticated: the token is not in the URL.
        """
        match self.kind:
            case "graph":
                return self._of_url(request, _parameter(request, "validationToken"))
            case "asana":
                secret = request.headers.get("x-hook-secret", "")
                if not _HOOK_SECRET.fullmatch(secret):
                    return None
                self._require_token(request)
                return Answer(headers=(("X-Hook-Secret", secret),))
        return None

    def answer_signed(self, request: Request, secret: str) -> Answer | None:
        """Return the answer to a POST that is authenticated; None if it is no question.

        Args:
            request: what was asked.
            secret: that it was signed with, if it was.
        """
        match self.kind:
            case "slack" if b"url_verification" in request.body:
                asked = _json(request)
                if find(asked, ("type",)) == "url_verification":
                    return _reflected(text(find(asked, ("challenge",))))
            case "zoom" if b"endpoint.url_validation" in request.body:
                asked = _json(request)
                if find(asked, ("event",)) == "endpoint.url_validation":
                    return _zoom(text(find(asked, ("payload", "plainToken"))), secret)
            case "discord" if len(request.body) <= MAX_REFLECTED_BYTES * 8:
                asked = _json(request)
                kind, event = find(asked, ("type",)), find(asked, ("event",))
                if type(kind) is int and kind == 1 and event is None:
                    return Answer(body=b'{"type":1}', content_type=_JSON)
            case "front":
                return _reflected(request.headers.get("x-front-challenge"))
        return None

    def refuse_digested_token(self, body: bytes) -> None:
        """Raise Unauthenticated for a body that anyone may have had signed.

        The answer to `crc` is the signature of whatever text is asked for. No event looks like
        such a text, so what does is refused.
        """
        if self.kind == "crc" and _CRC_TOKEN.fullmatch(body.decode(errors="replace")):
            raise Unauthenticated("the body is a token, which anyone can have signed")

    def _subscription(self, request: Request, secrets: Secrets) -> Answer | None:
        """https://developers.facebook.com/docs/graph-api/webhooks/getting-started."""
        if _parameter(request, "hub.mode") != "subscribe":
            return None
        live = Secrets(self.tokens) if self.tokens else secrets
        require_secret(filter(None, [_parameter(request, "hub.verify_token")]), live)
        return _reflected(_parameter(request, "hub.challenge"))

    def _of_url(self, request: Request, asked: str | None) -> Answer | None:
        """Reflect what the URL asks; with a token of its own only if that is in the URL, too."""
        if not asked:
            return None
        self._require_token(request)
        return _reflected(asked)

    def _require_token(self, request: Request) -> None:
        if self.tokens:
            in_url = [*request.path_secrets(), *request.query("token")]
            require_secret(in_url, Secrets(self.tokens))


def _crc(request: Request, secrets: Secrets) -> Answer | None:
    """https://docs.x.com/x-api/webhooks/introduction: the HMAC of a token, by the first secret."""
    token = _parameter(request, "crc_token")
    if not token or not secrets.values or not _CRC_TOKEN.fullmatch(token):
        return None
    digest = hmac.digest(secrets.values[0].encode(), token.encode(), "sha256")
    body = {"response_token": f"sha256={base64.b64encode(digest).decode()}"}
    return Answer(body=orjson.dumps(body), content_type=_JSON)


def _zoom(token: str | None, secret: str) -> Answer | None:
    """https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint."""
    encoded = (token or "").encode(errors="replace")
    if not encoded or len(encoded) > MAX_REFLECTED_BYTES:
        return None
    body = {"plainToken": token, "encryptedToken": signature_of(encoded, secret)}
    return Answer(body=orjson.dumps(body), content_type=_JSON)


def _okta(request: Request, secrets: Secrets, rule: Proof | None) -> Answer | None:
    """https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request."""
    asked = request.headers.get("x-okta-verification-challenge", "")
    encoded = asked.encode(errors="replace")
    if not encoded or len(encoded) > MAX_REFLECTED_BYTES:
        return None
    _require(rule, request, secrets)
    return Answer(body=orjson.dumps({"verification": encoded.decode()}), content_type=_JSON)


def _allowed_origin(request: Request, secrets: Secrets, rule: Proof | None) -> Answer | None:
    """https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md, section 4."""
    origin = request.headers.get("webhook-request-origin", "")
    rate = request.headers.get("webhook-request-rate", "")
    if not _ORIGIN.fullmatch(origin):
        return None
    _require(rule, request, secrets)
    headers = [("WebHook-Allowed-Origin", origin), ("Allow", "OPTIONS, POST")]
    if _RATE.fullmatch(rate):
        headers.append(("WebHook-Allowed-Rate", rate))
    return Answer(headers=tuple(headers))


def _require(rule: Proof | None, request: Request, secrets: Secrets) -> None:
    if rule and secrets.values:
        rule.verify(request, secrets)


def _parameter(request: Request, name: str) -> str | None:
    """Return a parameter of the query that is there once, decoded as a form."""
    values = [value for key, value in request.query_fields() if key == name]
    return values[0] if len(values) == 1 else None


def _reflected(asked: str | None) -> Answer | None:
    """Return an answer that says what was asked: as text that no browser takes for more."""
    encoded = (asked or "").encode(errors="replace")
    if not encoded or len(encoded) > MAX_REFLECTED_BYTES:
        return None
    return Answer(body=encoded)


def _json(request: Request) -> Any:
    try:
        return raw_json.parse(raw_json.strip_bom(request.body))
    except Malformed:
        return None
