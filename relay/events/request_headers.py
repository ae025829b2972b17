"""Headers of the request that go along with its messages: none that holds a secret. Pure."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from relay.events import redaction

PREFIX = "http-"
MAX_NAMES = 16

_MAX_HEADERS = 64
_MAX_HEADERS_BYTES = 64 * 1024  # half of the frame RabbitMQ allows a content header
_MAX_NAME_BYTES = 128  # a field's name is a short string
_MAX_VALUE_BYTES = 1024
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")  # a token (RFC 9110, 5.1)
_CREDENTIAL = re.compile(
    r"authori[sz]ation|authenticat|(?:^|[-_])auth(?:$|[-_])|cookie|token|secret|signature|hmac"
    r"|api-?key|access-?key|private-?key|passw(?:or)?d|credential|session|jwt|bearer",
    re.IGNORECASE,
)


def names_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return what a source's `headers` says, in lower case.

    Raises:
        ValueError: one is no header, or may hold a credential; each is named.
    """
    lower = tuple(dict.fromkeys([name.lower() for name in names]))
    problems = [f"{name!r} is no name of a header" for name in lower if not _NAME.fullmatch(name)]
    problems += [
        f"{name!r} may hold a credential, which never goes along"
        for name in lower
        if is_credential(name)
    ]
    if len(lower) > MAX_NAMES:
        problems.append(f"there are more than {MAX_NAMES}")
    if problems:
        raise ValueError("; ".join(problems))
    return lower


def is_credential(name: str) -> bool:
    """Return whether a header of this name holds, or may hold, a secret."""
    return bool(_CREDENTIAL.search(name))


def chosen(
    headers: Mapping[str, str], names: Sequence[str], secrets: Sequence[str]
) -> dict[str, str]:
    """Return the headers of these names that the request has, without those with a live secret."""
    found = {}
    for name in names:
        value = headers.get(name)
        if value is not None and not redaction.holds_secret(value, secrets):
            found[f"{PREFIX}{name}"] = _cut(value, _MAX_VALUE_BYTES)
    return found


def public(headers: Mapping[str, str], secrets: Sequence[str]) -> dict[str, str]:
    """Return the request's headers without those that hold, or may hold, a secret.

    They are cut so that all of them fit into one frame: a content header can't be split.
    """
    found = {}
    bytes_left = _MAX_HEADERS_BYTES
    for name, value in itertools.islice(headers.items(), _MAX_HEADERS):
        if is_credential(name) or redaction.holds_secret(value, secrets):
            continue
        short_name = _cut(name, _MAX_NAME_BYTES)
        short_value = _cut(value, _MAX_VALUE_BYTES)
        bytes_left -= len(short_name.encode()) + len(short_value.encode())
        if bytes_left < 0:
            break
        found[short_name.lower()] = short_value
    return found


def _cut(text: str, max_bytes: int) -> str:
    """Return as much of text as fits, as UTF-8; aiohttp reads other bytes as surrogates."""
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore")
