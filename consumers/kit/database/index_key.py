"""The key by which a database finds a text. Pure."""

from hashlib import blake2b

_MAX_KEY_CHARACTERS = 255  # several of these fit into the 2,700 bytes that PostgreSQL indexes
_DIGEST_BYTES = 16


def index_key(text: str) -> str:
    """Return a text, or its digest if the text can't be indexed.

    PostgreSQL allows no NUL in a text, and ids may have any length.
    """
    if len(text) <= _MAX_KEY_CHARACTERS and "\0" not in text:
        return text
    return "blake2b:" + blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
