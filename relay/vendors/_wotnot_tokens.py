"""Where a WotNot token may travel: their documentation has it in a screenshot alone.

So it is looked for in every place that makes sense, from the likeliest on.
"""

import re
from collections.abc import Iterator

from relay.errors import Malformed
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import mapping, sequence, text
from relay.vendors.kit.request import Echo, Request, form_fields

_TOKEN_HEADERS = ("token", "x-token", "x-auth-token", "x-webhook-token", "x-api-key")
_SCHEMES = ("bearer", "token")
_LONGEST_FORM = 65_536  # bytes; a form only ever carries the token of a handshake
_MOST_FORM_FIELDS = 64
_BOUNDARY = re.compile(r'boundary="?([^";, ]{1,70})', re.IGNORECASE)
_FIELD_NAME = re.compile(
    rb'content-disposition:[^\r\n]{0,99}[; ]name="?([^"\r\n;]*)', re.IGNORECASE
)


def outside_body(request: Request) -> Iterator[str]:
    """Yield what may be a token in the headers, the path or the query, the likeliest first."""
    headers = request.headers
    if authorization := headers.get("authorization"):
        yield authorization
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() in _SCHEMES:
            yield credentials.strip()
    for name in _TOKEN_HEADERS:
        if name in headers:
            yield headers[name]
    if request.path_secret is not None:
        yield request.path_secret
    yield from request.query("token")


def in_body(request: Request) -> list[Echo]:
    """Return what may be a token in the body, each in the shape it came in."""
    body = raw_json.strip_bom(request.body)
    bare = Echo(token=body.decode(errors="replace"), shape="text")
    try:
        value = raw_json.parse(body)
    except Malformed:
        return [bare, *_in_form(request)]
    match value:
        case str():
            return [Echo(token=value, shape="string")]
        case dict():
            first = sequence(value.get("events"))[:1]
            holders = [value, *map(mapping, first)]
            return [Echo(token=token) for it in holders if (token := text(it.get("token")))]
        case _:
            return [bare]  # a token of digits alone is JSON, too


def _in_form(request: Request) -> list[Echo]:
    if len(request.body) > _LONGEST_FORM:
        return []
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        fields = _multipart_fields(content_type, request.body)
    else:
        fields = form_fields(request.body.decode(errors="replace").strip())
    tokens = [value for name, value in fields if name == "token"]
    alone = len(fields) == 1
    return [Echo(token=token, shape="form" if alone else "object") for token in tokens]


def _multipart_fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read the fields of a form (RFC 7578), as far as a handshake may have any."""
    boundary = _BOUNDARY.search(content_type)
    if not boundary:
        return []
    fields = []
    for part in body.split(b"--" + boundary[1].encode(errors="replace"))[1:_MOST_FORM_FIELDS]:
        head, _, value = part.partition(b"\r\n\r\n")
        if name := _FIELD_NAME.search(head):
            fields.append(
                (name[1].decode(errors="replace"), value.decode(errors="replace").strip())
            )
    return fields
