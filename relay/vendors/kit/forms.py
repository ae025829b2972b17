"""Fields of HTML forms, whichever way they are encoded. Pure.

Anyone may send a form, before any check: what is read of it is bounded.
"""

import re
from urllib.parse import parse_qsl

MAX_FORM_FIELDS = 64
"""Far more than any vendor sends in a query or a form."""

_BOUNDARY = re.compile(r'boundary="?([^";, ]{1,70})', re.IGNORECASE)
_FIELD_NAME = re.compile(
    rb'content-disposition:[^\r\n]{0,99}[; ]name="?([^"\r\n;]*)', re.IGNORECASE
)


def form_fields(text: str) -> list[tuple[str, str]]:
    """Read `application/x-www-form-urlencoded` text; no fields at all if there are too many."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        return []


def multipart_fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read the fields of `multipart/form-data` (RFC 7578); what is beyond the limit is ignored."""
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        return []
    fields = []
    for part in body.split(b"--" + boundary[1].encode(errors="replace"))[1:MAX_FORM_FIELDS]:
        head, _, value = part.partition(b"\r\n\r\n")
        if name := _FIELD_NAME.search(head):
            fields.append((_decoded(name[1]), _decoded(value).strip()))
    return fields


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")
