"""What a database finds a text by. Pure."""

from hashlib import blake2b

_LONGEST_KEY = 255  # characters: several of these fit into the 2,700 bytes PostgreSQL indexes
_DIGEST_BYTES = 16


def key(text: str) -> str:
    """Return what a text is found by: itself, or its digest where it can't be indexed.

    PostgreSQL knows no NUL in a text, and ids are as long as the vendors please.
    """
    if len(text) <= _LONGEST_KEY and "\0" not in text:
        return text
    return "blake2b:" + blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
