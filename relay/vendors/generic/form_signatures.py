"""Twilio's signature: over the URL and the sorted fields of a form. Pure.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar
from urllib.parse import urlsplit

from relay.errors import Unauthenticated
from relay.vendors.generic import forms
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.headers import only
from relay.vendors.kit.request import OutgoingRequest, Request

_HEADER = "x-twilio-signature"
_BODY_DIGEST = "bodySHA256"
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{27}=")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRule:
    """An HMAC-SHA1 over the URL, then each field's name and value, sorted by name.

    A body that is no form is covered by its SHA-256, which is in the URL as `bodySHA256`.

    Args:
        public_urls: those that may have been signed, without their query; see `signed_urls`.
    """

    public_urls: tuple[str, ...]

    signed_headers: ClassVar[frozenset[str]] = frozenset()

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """Any text may be a secret."""

    def verify(self, request: Request, secrets: Secrets) -> str:
        """Return the secret that the request was signed with.

        Raises:
            Unauthenticated: with none of them.
        """
        signature = only(request.headers, _HEADER, "signature_malformed")
        if signature is None:
            raise Unauthenticated(f"there is no {_HEADER}", "signature_missing")
        if not _SIGNATURE.fullmatch(signature):
            raise Unauthenticated(f"{_HEADER} is no signature", "signature_malformed")
        fields = self._signed_fields(request)
        found = None
        rest = f"?{request.query_string}{fields}" if request.query_string else fields
        for url in self.public_urls:
            for secret in secrets.values:
                if hmac.compare_digest(_signature_of(url + rest, secret), signature):
                    found = secret
        if found is None:
            raise Unauthenticated("no live secret has made this signature", "signature_wrong")
        return found

    def _signed_fields(self, request: Request) -> str:
        """Return what of the body is signed beside the URL.

        Raises:
            Unauthenticated: the signature does not cover the body.
        """
        digests = [value for name, value in request.query_fields() if name == _BODY_DIGEST]
        if digests:
            is_body = [
                hmac.compare_digest(_digest(request.body), one.encode(errors="replace"))
                for one in digests
            ]
            if not all(is_body):
                raise Unauthenticated("the body is not the one that was signed", "signature_wrong")
            return ""
        if forms.is_form(request):
            pairs = forms.pairs(request.body)
            if pairs or not request.body:
                return "".join([name + value for name, value in sorted(set(pairs))])
        elif not request.body:
            return ""
        raise Unauthenticated("nothing signs this body", "signature_wrong")

    def sign(self, request: OutgoingRequest, secret: str, now: float) -> OutgoingRequest:  # noqa: ARG002  other rules need the time
        """Return a request with its signature: a form as such, anything else by its digest."""
        sent = Request(body=request.body, headers={"content-type": _content_type(request)})
        url, query, fields = self.public_urls[0], {}, ""
        if forms.is_form(sent) and forms.pairs(request.body):
            fields = self._signed_fields(sent)
        else:
            query = {_BODY_DIGEST: sha256(request.body).hexdigest()}
            url += f"?{_BODY_DIGEST}={query[_BODY_DIGEST]}"
        headers = {**request.headers, _HEADER: _signature_of(url + fields, secret)}
        return OutgoingRequest(body=request.body, headers=headers, query=query)


def signed_urls(public_url: str) -> tuple[str, str]:
    """Return the URLs that may be signed: as the sender knows it, and with its port or without."""
    parts = urlsplit(public_url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
    is_named = parts.port is not None
    netloc = host if is_named else f"{host}:{port}"
    return public_url, parts._replace(netloc=netloc).geturl()


def _content_type(request: OutgoingRequest) -> str:
    return next(
        (value for name, value in request.headers.items() if name.lower() == "content-type"), ""
    )


def _digest(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()


def _signature_of(text: str, secret: str) -> str:
    signed = text.encode(errors="surrogateescape")
    return base64.b64encode(hmac.digest(secret.encode(), signed, "sha1")).decode()
