"""Where a WotNot token may be: their documentation shows it in a screenshot alone.

So every plausible place is searched, the likeliest first.
"""

from collections.abc import Iterator

from relay.errors import Malformed
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import mapping, sequence, text
from relay.vendors.kit.forms import form_fields, multipart_fields
from relay.vendors.kit.request import Echo, Request

_TOKEN_HEADERS = ("token", "x-token", "x-auth-token", "x-webhook-token", "x-api-key")
_SCHEMES = ("bearer", "token")
_MAX_FORM_BYTES = 65_536  # a form only ever carries the token of a handshake


def outside_body(request: Request) -> Iterator[str]:
    """Yield what may be a token in the headers, the path or the query."""
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
    """Return what may be a token in the body, each with the shape it came in."""
    body = raw_json.strip_bom(request.body)
    bare = Echo(token=body.decode(errors="replace"), shape="text")
    try:
        value = raw_json.parse(raw_json.repair(body))
    except Malformed:
        return [bare, *_in_form(request)]
    match value:
        case str():
            return [Echo(token=value, shape="string")]
        case dict():
            first_event = sequence(value.get("events"))[:1]
            tokens = [text(holder.get("token")) for holder in (value, *map(mapping, first_event))]
            return [Echo(token=token) for token in tokens if token]
        case _:
            return [bare]  # a token of digits alone is JSON, too


def _in_form(request: Request) -> list[Echo]:
    if len(request.body) > _MAX_FORM_BYTES:
        return []
    content_type = request.headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        fields = multipart_fields(content_type, request.body)
    else:
        fields = form_fields(request.body.decode(errors="replace").strip())
    tokens = [value for name, value in fields if name == "token"]
    is_alone = len(fields) == 1
    return [Echo(token=token, shape="form" if is_alone else "object") for token in tokens]
