"""How a caller proves who it is: shared secrets and signatures. Pure.

Comparisons take the same time whatever the secret is: `hmac.compare_digest` compares digests, so
not even a secret's length shows, and every secret is tried, even after one has matched.
"""

import base64
import hmac
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from relay.errors import Unauthenticated


class Secrets:
    """The live secrets of one source; several during a rotation.

    Args:
        values: the secrets. An empty sequence means that the source is `insecure`: everyone is
            let in.
    """

    __slots__ = ("_digests", "values")

    def __init__(self, values: Sequence[str]) -> None:
        self.values = tuple(values)
        self._digests = tuple(_digest(value) for value in values)

    def __repr__(self) -> str:
        return f"Secrets({len(self.values)} hidden)"

    def matches(self, candidate: str) -> bool:
        """Return whether candidate is one of the secrets, in constant time."""
        digest = _digest(candidate)
        matches = [hmac.compare_digest(digest, live) for live in self._digests]
        return any(matches)

    def match_any(self, candidates: Iterable[str]) -> bool:
        """Return whether one of candidates is one of the secrets; all are compared."""
        matches = [self.matches(candidate) for candidate in candidates]
        return any(matches)

    def has_signed(self, signature: str, body: bytes) -> bool:
        """Return whether signature is the hex HMAC-SHA256 of body under one of the secrets."""
        given = signature.lower().encode(errors="replace")
        matches = [
            hmac.compare_digest(given, signature_of(body, value).encode()) for value in self.values
        ]
        return any(matches)


def _digest(secret: str) -> bytes:
    return blake2b(secret.encode(errors="surrogatepass"), digest_size=32).digest()


def signature_of(body: bytes, secret: str) -> str:
    """Return the lower-case hex HMAC-SHA256 of body under secret."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def base64_signature_of(body: bytes, secret: str) -> str:
    """Return the base64 HMAC-SHA256 of body under secret."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def require_secret(candidates: Iterable[str], secrets: Secrets) -> None:
    """Raise Unauthenticated unless one of candidates is a live secret."""
    if not secrets.values:
        return
    given = list(candidates)
    if not secrets.match_any(given):
        reason = "token_wrong" if any(given) else "token_missing"
        raise Unauthenticated("no live secret was given", reason)


def signature_to_check(
    candidates: Sequence[str], signature: str | None, secrets: Secrets
) -> str | None:
    """Return the signature that has to prove the sender, or None if nothing has to any more.

    Args:
        candidates: what may be a secret in the URL; a live one proves the sender.
        signature: as it came, or None when the request carried none.
        secrets: the live ones; without any, everyone is let in.

    Raises:
        Unauthenticated: there is neither a live secret nor a signature.
    """
    if not secrets.values or secrets.match_any(candidates):
        return None
    if signature is not None:
        return signature
    if any(candidates):
        raise Unauthenticated("no live secret is in the URL", "token_wrong")
    raise Unauthenticated("there is no signature", "signature_missing")


def require_signature(signature: str | None, bodies: Iterable[bytes], secrets: Secrets) -> None:
    """Raise Unauthenticated unless signature is the HMAC-SHA256 of one of bodies.

    Args:
        signature: hex digits, or None when the request carried none.
        bodies: the forms of the body that may have been signed; each is computed only if the ones
            before it did not match.
        secrets: the keys.
    """
    if not secrets.values:
        return
    if signature is None:
        raise Unauthenticated("there is no signature", "signature_missing")
    if not any(secrets.has_signed(signature, body) for body in bodies):
        raise Unauthenticated("no live secret has made this signature", "signature_wrong")


def require_signature_by(
    sign: Callable[[bytes, str], str], signature: str | None, message: bytes, secrets: Secrets
) -> None:
    """Raise Unauthenticated unless a signature is what a vendor makes of a message.

    Args:
        sign: makes the signature of a message under a secret, as it stands in the header.
        signature: as it came, or None when the request carried none.
        message: what is signed, as sent.
        secrets: the keys.
    """
    if not secrets.values:
        return
    if signature is None:
        raise Unauthenticated("there is no signature", "signature_missing")
    given = _digest(signature)
    matches = [
        hmac.compare_digest(given, _digest(sign(message, secret))) for secret in secrets.values
    ]
    if not any(matches):
        raise Unauthenticated("no live secret has made this signature", "signature_wrong")
