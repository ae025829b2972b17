"""Signatures by the Standard Webhooks specification, with symmetric secrets. Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence

_PREFIX = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64
# It becomes a header; with a `.` in it, the signed content would be ambiguous.
_ID = re.compile(r"(?!.*\.)[\x21-\x7e]{1,255}")


def key_of(secret: str) -> bytes:
    """Return the key a secret stands for.

    Args:
        secret: `whsec_` and the base64 of 24 to 64 bytes.

    Raises:
        ValueError: it is none. The text does not contain it.
    """
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"each must be {_PREFIX} and base64") from error
    if encoded == secret or not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise ValueError(
            f"each must be {_PREFIX} and the base64 of {_MIN_BYTES} to {_MAX_BYTES} bytes"
        )
    return key


def signed_headers(
    webhook_id: str, body: bytes, *, keys: Sequence[bytes], now: float
) -> dict[str, str]:
    """Return the headers that prove who sent body, and when.

    Args:
        webhook_id: the same at each attempt, so that receivers can drop duplicates.
        body: as it is sent.
        keys: each makes a signature; a receiver needs to know only one of them.
        now: the time of this attempt, in seconds since 1970.

    Raises:
        ValueError: webhook_id can't be used.
    """
    if not _ID.fullmatch(webhook_id):
        raise ValueError("its id can't be a webhook-id: up to 255 of visible ASCII without a dot")
    timestamp = str(int(now))
    content = b"%s.%s.%s" % (webhook_id.encode(), timestamp.encode(), body)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(key, content) for key in keys),
    }


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
