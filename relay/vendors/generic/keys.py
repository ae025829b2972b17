"""Keys of an HMAC, as senders hand them out. Pure."""

import base64
import binascii
import re
from functools import lru_cache

KEY_KINDS = ("utf8", "base64", "hex", "whsec")
WHSEC, WHPK = "whsec_", "whpk_"
"""How the secret and the public keys of Standard Webhooks begin."""

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


@lru_cache(maxsize=256)
def keys_of(kind: str, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the keys that secrets stand for.

    Raises:
        ValueError: one is not written as kind says.
    """
    return tuple(_key(kind, secret) for secret in secrets)


def _key(kind: str, secret: str) -> bytes:
    match kind:
        case "utf8":
            return secret.encode()
        case "hex":
            if not _HEX.fullmatch(secret):
                raise ValueError("one is not hexadecimal")
            return bytes.fromhex(secret)
        case "whsec":
            encoded = secret.removeprefix(WHSEC)
            return decode_base64(encoded + "=" * (-len(encoded) % 4))
        case _:
            return decode_base64(secret)


def decode_base64(text: str) -> bytes:
    """Decode standard base64 with its padding.

    Raises:
        ValueError: it is none, or nothing.
    """
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        decoded = b""
    if not decoded:
        raise ValueError("one is not base64")
    return decoded
