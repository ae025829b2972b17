"""Signatures: an HMAC, a digest, or one that a public key checks, over a template. Pure.

All secrets are tried against all signatures of the header, in constant time, over the bytes as
they came and before anything parses them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from relay.errors import Unauthenticated
from relay.vendors.generic.keys import decode_base64, keys_of
from relay.vendors.generic.templates import SignedTemplate
from relay.vendors.generic.timestamp_notations import Notation, read_timestamp, write_timestamp
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.headers import only
from relay.vendors.kit.request import OutgoingRequest, Request
from relay.vendors.kit.signing_time import require_recent

MAX_SIGNATURES = 64
"""In one header: each is compared with each secret."""

if TYPE_CHECKING:
    from relay.vendors.generic.public_keys import Check

Encoding = Literal["hex", "base64"]
ENCODINGS: tuple[Encoding, ...] = ("hex", "base64")
SignatureOf = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureRule:
    """How a sender signs.

    Args:
        algorithm: of an HMAC or a digest sha1, sha256 or sha512; else ed25519 or rsa-sha256.
        key: how the secrets are written that both sides share, see keys.py; else "".
        is_digest: whether the secret is hashed in front of the message, instead of an HMAC.
        signed: what is signed.
        header: that holds the signatures, in lower case.
        value: how one signature stands there: what is before it, and behind it.
        pattern: the same, as what finds a well-formed signature.
        separator: between several parts of the header; "" if there is only one.
        encoding: of a signature.
        timestamp_field: the part of the header, `NAME=...`, with the time, or "".
        timestamp_header: the header with the time, or "".
        timestamp: how the time is written.
        tolerance_s: how old or new it may be; 0: it is not looked at.
        id_header: the header with the id, or "".
        public_url: as the sender knows it, without its query, or "".
    """

    algorithm: str
    key: str
    is_digest: bool = False
    signed: SignedTemplate
    header: str
    value: tuple[str, str]
    pattern: re.Pattern[str]
    separator: str
    encoding: Encoding
    timestamp_field: str
    timestamp_header: str
    timestamp: Notation
    tolerance_s: int
    id_header: str
    public_url: str

    @property
    def has_shared_secret(self) -> bool:
        """Return whether both sides share the secret."""
        return bool(self.key)

    @property
    def signed_headers(self) -> frozenset[str]:
        """Return the names of the headers that are signed."""
        fields = self.signed.fields
        names = {field.partition(":")[2] for field in fields if field.startswith("header:")}
        names |= {self.id_header} if "id" in fields else set()
        names |= {self.timestamp_header} if "timestamp" in fields else set()
        return frozenset(names - {""})

    def check_secrets(self, secrets: Sequence[str]) -> None:
        """Raise ValueError unless each is a key as the rule has it."""
        if self.has_shared_secret:
            keys_of(self.key, tuple(secrets))
        else:
            for secret in secrets:
                _public_key_check(self.algorithm, secret)

    def verify(self, request: Request, secrets: Secrets) -> str:
        """Return the secret that the request was signed with.

        Raises:
            Unauthenticated: with none of them, or too long ago.
        """
        signatures, timestamp, signed_at = self._read(request)
        is_body = self.signed.is_body
        message = request.body if is_body else self._filled(request, timestamp)
        if message is None:
            raise Unauthenticated("a header that is signed is missing", "signature_missing")
        if self.is_digest:
            _refuse_extended(message)
        secret = self._signer(message, signatures, secrets.values)
        if secret is None:
            raise Unauthenticated("no live secret has made this signature", "signature_wrong")
        if self.tolerance_s:
            require_recent(signed_at, request.received_at, self.tolerance_s)
        return secret

    def _read(self, request: Request) -> tuple[list[str], str, float]:
        """Return the signatures that are well formed, and the time: as it stands, and read."""
        value = only(request.headers, self.header, "signature_malformed")
        if value is None:
            raise Unauthenticated(f"there is no {self.header}", "signature_missing")
        parts = value.split(self.separator) if self.separator else [value]
        if len(parts) > MAX_SIGNATURES:
            raise Unauthenticated(f"{self.header} has too many parts", "signature_malformed")
        signatures = [match[1] for match in map(self.pattern.fullmatch, parts) if match]
        timestamp, signed_at = "", 0.0
        if self.timestamp_field or self.timestamp_header:
            timestamp, signed_at = self._timestamp(request, parts)
        if not signatures:
            raise Unauthenticated(f"{self.header} holds no signature", "signature_malformed")
        return signatures, timestamp, signed_at

    def _timestamp(self, request: Request, parts: list[str]) -> tuple[str, float]:
        if self.timestamp_field:
            start = f"{self.timestamp_field}="
            found = [part[len(start) :] for part in parts if part.startswith(start)]
            if len(found) > 1:
                raise Unauthenticated("there are several times", "timestamp_malformed")
            timestamp = found[0] if found else None
        else:
            timestamp = only(request.headers, self.timestamp_header, "timestamp_malformed")
        if timestamp is None:
            raise Unauthenticated("the time of the signature is missing", "timestamp_missing")
        signed_at = read_timestamp(timestamp, self.timestamp)
        if signed_at is None:
            raise Unauthenticated(f"the time is not in {self.timestamp}", "timestamp_malformed")
        return timestamp, signed_at

    def _filled(self, request: Request, timestamp: str) -> bytes | None:
        """Return what was signed; None if a header is missing."""
        message_id = ""
        if self.id_header:
            message_id = only(request.headers, self.id_header, "signature_malformed") or ""
        url = self._url(request) if self.public_url else ""
        return self.signed.fill(request, timestamp=timestamp, message_id=message_id, url=url)

    def _url(self, request: Request) -> str:
        query = request.query_string
        return f"{self.public_url}?{query}" if query else self.public_url

    def _signer(
        self, message: bytes, signatures: list[str], secrets: tuple[str, ...]
    ) -> str | None:
        found = None
        if self.key:
            for key, secret in zip(keys_of(self.key, secrets), secrets, strict=True):
                expected = self._encoded(self._code(key, message))
                for signature in signatures:
                    if hmac.compare_digest(expected, signature):
                        found = secret
            return found
        for secret in secrets:
            has_signed = _public_key_check(self.algorithm, secret)
            for signature in signatures:
                decoded = self._decoded(signature)
                if decoded is not None and has_signed(decoded, message):
                    found = secret
        return found

    def _code(self, key: bytes, message: bytes) -> bytes:
        if self.is_digest:
            return hashlib.new(self.algorithm, key + message).digest()
        return hmac.digest(key, message, self.algorithm)

    def _encoded(self, digest: bytes) -> str:
        return digest.hex() if self.encoding == "hex" else base64.b64encode(digest).decode()

    def _decoded(self, signature: str) -> bytes | None:
        """Return the bytes of a signature; None unless this is the one way to write them."""
        try:
            decoded = (
                bytes.fromhex(signature) if self.encoding == "hex" else decode_base64(signature)
            )
        except ValueError:
            return None
        return decoded if self._encoded(decoded) == signature else None

    def sign(self, request: OutgoingRequest, secret: str, now: float) -> OutgoingRequest:
        """Return a request with its signature, as the sender makes it.

        Raises:
            ValueError: only the sender has the private key.
        """
        if not self.has_shared_secret:
            raise ValueError("it signs with a private key, which only the sender has")
        (key,) = keys_of(self.key, (secret,))
        return self.with_signature(request, now, lambda message: self._code(key, message))

    def with_signature(
        self, request: OutgoingRequest, now: float, signature_of: SignatureOf
    ) -> OutgoingRequest:
        """Return a request with the signature that a function makes, and all that is signed."""
        timestamp = write_timestamp(now, self.timestamp)
        headers = dict(request.headers)
        message_id = f"msg_{hmac.digest(b'id', request.body, 'sha256').hex()[:24]}"
        if self.timestamp_header:
            headers[self.timestamp_header] = timestamp
        if self.id_header:
            headers[self.id_header] = message_id
        sent = Request(body=request.body, headers=headers, method=request.method)
        message = self.signed.fill(
            sent, timestamp=timestamp, message_id=message_id, url=self.public_url
        )
        before, behind = self.value
        signature = f"{before}{self._encoded(signature_of(message or b''))}{behind}"
        if self.timestamp_field:
            signature = f"{self.timestamp_field}={timestamp}{self.separator}{signature}"
        headers[self.header] = signature
        return OutgoingRequest(
            body=request.body, headers=headers, query=request.query, method=request.method
        )


def _refuse_extended(message: bytes) -> None:
    """Raise Unauthenticated for what may be a longer message under another one's digest.

    Whoever has a message and its digest can append to it without the secret, but only behind the
    digest's padding (RFC 6234, 4.1). That begins with the byte 0x80, which begins nothing in UTF-8.
    """
    try:
        message.decode()
    except UnicodeDecodeError as error:
        reason = "it is not UTF-8, so it may be the message of another signature, made longer"
        raise Unauthenticated(reason, "signature_wrong") from error


def _public_key_check(kind: str, text: str) -> "Check":
    try:
        from relay.vendors.generic import public_keys  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ValueError(
            "public keys need the library cryptography; install relay with its extra: [public-keys]"
        ) from error
    return public_keys.signature_check(kind, text)
