"""Bodies that are HTML forms, `application/x-www-form-urlencoded`. Pure."""

from urllib.parse import parse_qsl

from relay.errors import Malformed
from relay.vendors.kit.request import Request

MAX_FIELDS = 1_000
"""More than any sender has; each costs 2 µs."""


def is_form(request: Request) -> bool:
    """Return whether the request says that its body is a form."""
    content_type = request.headers.get("content-type", "").partition(";")[0]
    return content_type.strip().lower() == "application/x-www-form-urlencoded"


def pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form; none at all if it is none, or has too many."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form as an object: of several with one name, the first.

    Raises:
        Malformed: `too_many_members`, or `unknown_shape` if it is not UTF-8.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("unknown_shape") from None
    if text.count("&") >= MAX_FIELDS:
        raise Malformed("too_many_members")
    return dict(reversed(parse_qsl(text, keep_blank_values=True)))
