"""Where a WotNot token may be: their documentation shows it in a screenshot alone.

So every plausible place is searched, the likeliest first.
"""

import json
from collections.abc import Iterator
from typing import Any

from relay.errors import Malformed
from relay.vendors.kit import raw_json
from relay.vendors.kit.batches import split_batch
from relay.vendors.kit.fields import mapping, sequence, text
from relay.vendors.kit.forms import form_fields, multipart_fields
from relay.vendors.kit.request import Echo, Request

_TOKEN_HEADERS = ("token", "x-token", "x-auth-token", "x-webhook-token", "x-api-key")
_SCHEMES = ("bearer", "token")
_MAX_BROKEN_BYTES = 1024 * 1024
"""Of a body that is no JSON: to cut it takes about a second per MiB, and anyone may cause it."""
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
    yield from request.path_secrets()
    yield from request.query("token")


def in_body(request: Request) -> list[Echo]:
    """Return what may be a token in the body, each with the shape it came in."""
    body = raw_json.strip_bom(request.body)
    bare = Echo(token=body.decode(errors="replace"), shape="text")
    try:
        value = raw_json.parse(raw_json.repair(body))
    except Malformed:
        return [bare, *_in_form(request), *_beside_broken_elements(body)]
    match value:
        case str():
            return [Echo(token=value, shape="string")]
        case dict():
            return _in_objects(value, *sequence(value.get("events"))[:1])
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


def _in_objects(*values: object) -> list[Echo]:
    tokens = [text(mapping(value).get("token")) for value in values]
    return [Echo(token=token) for token in tokens if token]


def _beside_broken_elements(body: bytes) -> list[Echo]:
    """Look where `in_body` does, in a body that is JSON but for some elements of `events`."""
    if len(body) > _MAX_BROKEN_BYTES:
        return []
    # One of too many events is authenticated all the same, so that it is kept.
    rest, elements = split_batch(body, {"events"}, limit=_MAX_BROKEN_BYTES)
    try:
        document = raw_json.parse(raw_json.repair(rest))
    except Malformed:
        return []
    first_event = next(filter(None, map(_parsed_loosely, elements)), None)
    return _in_objects(document, first_event)


def without_token(element: bytes) -> bytes:
    """Return an element without its token; every other member stays as it is.

    An element that is no JSON is left alone, unless all that is wrong with it is NaN and the like.

    Raises:
        Malformed: `too_many_members`.
    """
    if "token" not in mapping(_parsed_loosely(element)):
        return element
    return raw_json.without_members(element, ["token"])


def _parsed_loosely(element: bytes) -> Any:
    """Parse JSON in which there may be NaN and lone surrogates; return None for anything else."""
    try:
        return json.loads(element)
    except (ValueError, RecursionError):
        return None
