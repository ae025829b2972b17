"""Signatures that are checked with a public key. Pure. Needs the extra `public-keys`."""

from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from relay.vendors.generic.keys import WHPK, decode_base64

_ED25519_BYTES = 32
_MIN_RSA_BITS = 2048

Check = Callable[[bytes, bytes], bool]
"""Returns whether the first is the signature of the second."""


@lru_cache(maxsize=256)
def signature_check(kind: str, text: str) -> Check:
    """Return what checks the signatures made with the private half of a key.

    Args:
        kind: `ed25519`, or `rsa-sha256` (PKCS #1 v1.5).
        text: the public half: PEM; an Ed25519 key may also be 32 bytes in hex or base64, or
            `whpk_...`; an RSA key what stands between the lines of a PEM.

    Raises:
        ValueError: it is none of these.
    """
    try:
        return _ed25519_check(text) if kind == "ed25519" else _rsa_check(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"one is no public key for {kind}") from error


def _ed25519_check(text: str) -> Check:
    if "-----BEGIN" in text:
        loaded = load_pem_public_key(text.encode())
        if not isinstance(loaded, Ed25519PublicKey):
            raise ValueError("a key of another kind")
        key = loaded
    else:
        text = text.removeprefix(WHPK)
        is_hex = len(text) == 2 * _ED25519_BYTES
        key = Ed25519PublicKey.from_public_bytes(
            bytes.fromhex(text) if is_hex else decode_base64(text)
        )

    def has_signed(signature: bytes, message: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return has_signed


def _rsa_check(text: str) -> Check:
    is_pem = "-----BEGIN" in text
    key = (
        load_pem_public_key(text.encode())
        if is_pem
        else load_der_public_key(decode_base64("".join(text.split())))
    )
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        raise ValueError("a key of another kind, or too short")
    rsa, padding, digest = key, PKCS1v15(), SHA256()

    def has_signed(signature: bytes, message: bytes) -> bool:
        try:
            rsa.verify(signature, message, padding, digest)
        except InvalidSignature:
            return False
        return True

    return has_signed
