"""The parts that operations are put together from. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""All that OpenAPI 3.1 has."""
JSON = "application/json"
_REFUSED = "refused"


def refused_tag() -> Document:
    """Return the tag of operations that only refuse."""
    return {
        "name": _REFUSED,
        "description": "What is only refused, whatever is sent. Leave it out of a client.",
    }


def ref(kind: str, name: str) -> Document:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def content(schema: Document, media_type: str = JSON) -> Document:
    """Return the content of one media type."""
    return {media_type: {"schema": schema}}


def closed(properties: Mapping[str, Document], optional: Iterable[str] = ()) -> Document:
    """Return the schema of an object with these members and no other."""
    left_out = set(optional)
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in left_out],
        "additionalProperties": False,
    }


def array(items: Document) -> Document:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def parameter(name: str, where: str, schema: Document, description: str) -> Document:
    """Return a parameter; one in the path is required."""
    found = {"name": name, "in": where, "description": description, "schema": schema}
    return found | {"required": True} if where == "path" else found


def header(schema: Document, description: str) -> Document:
    """Return a header that is always there."""
    return {"description": description, "required": True, "schema": schema}


def operation(
    tag: str, summary: str, responses: Mapping[str, Document], **others: Document
) -> Document:
    """Return an operation; its responses in the order of their statuses."""
    return {
        "tags": [tag],
        "summary": summary,
        **others,
        "responses": dict(sorted(responses.items())),
    }


def refused(responses: Mapping[str, Document]) -> Document:
    """Return an operation that only refuses."""
    return operation(_REFUSED, "Refused", responses)


def item(operations: Mapping[str, Document], others: Mapping[str, Document]) -> Document:
    """Return a path item: its operations, and for all other methods what refuses them."""
    return {
        method: operations[method] if method in operations else refused(others)
        for method in METHODS
    }
