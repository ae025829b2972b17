"""Removes live secrets from what is kept, however they are spelled. Pure.

A secret in a body may be plain, escaped as in JSON or percent-encoded as in a form, and each of
its characters may be spelled in another way.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

MARK = b"[secret removed]"

_MAX_PATTERNS = 16_384
"""Of secrets, kept in memory: each takes 5 kB, and almost a millisecond to make. They are more than
a receiver has secrets: a refused request is compared with all of these, one after the other."""


def redact(body: bytes, secrets: Sequence[str]) -> bytes:
    """Return body with every spelling of every secret replaced by MARK."""
    for secret in secrets:
        body = _spellings(secret).sub(MARK, body)
    return body


def holds_secret(text: str, secrets: Sequence[str]) -> bool:
    """Return whether text contains one of the secrets, in any spelling."""
    encoded = text.encode(errors="replace")
    longest = len(encoded)  # no spelling has fewer bytes than the secret has characters
    return any(len(secret) <= longest and _spellings(secret).search(encoded) for secret in secrets)


@lru_cache(maxsize=_MAX_PATTERNS)
def _spellings(secret: str) -> re.Pattern[bytes]:
    return re.compile(b"".join([_character(character) for character in secret]))


def _character(character: str) -> bytes:
    """Return a pattern for one character: itself, escaped (RFC 8259, 7) or %XX (RFC 3986, 2.1)."""
    plain = character.encode(errors="surrogatepass")
    units = character.encode("utf-16-be", errors="surrogatepass")
    escaped = b"".join(
        rb"\\u(?i:%04x)" % int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2)
    )
    percent = b"".join(b"(?i:%%%02x)" % byte for byte in plain)
    spellings = [re.escape(plain), escaped, percent]
    if character in '"\\/':
        spellings.append(re.escape(b"\\" + plain))
    if character == " ":
        spellings.append(rb"\+")
    return b"(?:" + b"|".join(spellings) + b")"
