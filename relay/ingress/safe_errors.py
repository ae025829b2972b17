"""What a failed authentication may show in a log: the names it had, never a value. Pure."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from relay.errors import Malformed
from relay.events import redaction
from relay.vendors.kit import raw_json
from relay.vendors.kit.request import Request

_MAX_NAMES = 50
_MAX_NAME_CHARACTERS = 64
_MAX_QUERY_CHARACTERS = 4096
_LONG_NAME = "[long name]"
_MAX_BODY_BYTES = 128 * 1024
"""A larger body is not looked into."""


def safe_field_names(delivery: Request, secrets: Sequence[str]) -> dict[str, object]:
    """Return what a failed authentication may show: names, never values, and none of secrets."""
    content_type = delivery.headers.get("content-type", "").partition(";")[0]
    return {
        "header_names": _shown(delivery.headers, secrets),
        "query_names": _shown(_form_names(delivery.query_string), secrets),
        "body_names": _shown(_body_names(delivery), secrets),
        "content_type": _printable(content_type, secrets),
    }


def safe_head_names(
    headers: Mapping[str, str], query_string: str, secrets: Sequence[str]
) -> dict[str, object]:
    """Return the names in a head whose body was not looked at.

    It may be of anyone and is compared with the secrets of all sources, so long names are left out.
    """
    content_type = headers.get("content-type", "").partition(";")[0]
    query_names = _form_names(query_string[:_MAX_QUERY_CHARACTERS])
    return {
        "header_names": _shown(map(_short, headers), secrets),
        "query_names": _shown(map(_short, query_names), secrets),
        "content_type": _printable(_short(content_type), secrets),
    }


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME_CHARACTERS else _LONG_NAME


def _body_names(delivery: Request) -> list[str]:
    if len(delivery.body) > _MAX_BODY_BYTES:
        return []
    body = raw_json.strip_bom(delivery.body)
    if "urlencoded" in delivery.headers.get("content-type", ""):
        return _form_names(body.decode(errors="replace"))
    try:
        value = raw_json.parse(raw_json.repair(body))
    except Malformed:
        return []
    return list(value) if isinstance(value, dict) else []


def _form_names(text: str) -> list[str]:
    """Return the names of a form. A part without a value may be a bare token, so it is none."""
    pairs = [part.partition("=") for part in text.split("&", _MAX_NAMES)]
    return [name for name, _, value in pairs if value.strip("=")]


def _shown(names: Iterable[str], secrets: Sequence[str]) -> list[str]:
    return [_printable(name, secrets) for name in itertools.islice(names, _MAX_NAMES)]


def _printable(text: str, secrets: Sequence[str]) -> str:
    """Return text that fits a log line; aiohttp reads bytes that are not UTF-8 as surrogates."""
    if redaction.holds_secret(text, secrets):  # sent where no vendor puts it, by mistake or guess
        return redaction.MARK.decode()
    return text[:_MAX_NAME_CHARACTERS].encode(errors="replace").decode()
