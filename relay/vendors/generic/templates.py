"""What is signed, as a template: read once, at start, and filled in for each request. Pure."""

import re
from typing import NamedTuple

from relay.vendors.kit.request import Request

_FIELD = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FIELDS = ("body", "timestamp", "id", "method", "url")


class SignedTemplate(NamedTuple):
    """What a signature covers.

    Args:
        layout: of bytes, with `%(body)b` and the like for the fields.
        fields: those that occur, `header:NAME` among them.
        is_body: whether it is the body and nothing else.
        is_plain: whether it has no fields but the body and the time.
    """

    layout: bytes
    fields: frozenset[str]
    is_body: bool
    is_plain: bool

    def fill(self, request: Request, *, timestamp: str, message_id: str, url: str) -> bytes | None:
        """Return the bytes that were signed; None if a header is missing."""
        values = {b"body": request.body, b"timestamp": _bytes(timestamp)}
        if not self.is_plain:
            others = {"id": message_id, "method": request.method, "url": url}
            for field in self.fields - {"body", "timestamp"}:
                kind, _, name = field.partition(":")
                value = request.headers.get(name) if kind == "header" else others[field]
                if value is None:
                    return None
                values[_bytes(field)] = _bytes(value)
        return self.layout % values


def _bytes(text: str) -> bytes:
    """Return the bytes of a header; aiohttp reads those that are not UTF-8 as surrogates."""
    return text.encode(errors="surrogateescape")


def parse_template(text: str) -> SignedTemplate:
    """Read a template such as `v0:{timestamp}:{body}`.

    Raises:
        ValueError: it has an unknown field, or no body.
    """
    layout, fields, end = [], set(), 0
    for match in _FIELD.finditer(text):
        layout.append(_literal(text[end : match.start()]))
        end = match.end()
        field = _field(match)
        layout.append(b"%%(%b)b" % field.encode())
        fields.add(field)
    layout.append(_literal(text[end:]))
    if "body" not in fields:
        raise ValueError("{body} must be in it")
    return SignedTemplate(
        layout=b"".join(layout),
        fields=frozenset(fields),
        is_body=text == "{body}",
        is_plain=fields <= {"body", "timestamp"},
    )


def _field(match: re.Match[str]) -> str:
    kind, colon, name = match[1].partition(":")
    if kind == "header" and _NAME.fullmatch(name):
        return f"header:{name.lower()}"
    if kind in _FIELDS and not colon:
        return kind
    known = ", ".join(f"{{{field}}}" for field in (*_FIELDS, "header:NAME"))
    raise ValueError(f"{match[0]} is none of {known}")


def _literal(text: str) -> bytes:
    if "{" in text or "}" in text:
        raise ValueError("a brace in it belongs to no field")
    return text.encode().replace(b"%", b"%%")


def split_pattern(text: str, field: str) -> tuple[str, str]:
    """Return what stands before and behind the one `{field}` of a pattern.

    Raises:
        ValueError: there is not one.
    """
    before, found, behind = text.partition(f"{{{field}}}")
    if not found or "{" in before + behind:
        raise ValueError(f"{{{field}}} must be in it once, and nothing else in braces")
    return before, behind
