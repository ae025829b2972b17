"""Holds an answer against an OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

Document = Mapping[str, Any]

_FRAMING = {"date", "content-length", "content-type", "connection"}
_OF_THE_VENDOR = {"x-hook-secret", "webhook-allowed-origin", "webhook-allowed-rate", "allow"}
"""What a challenge is answered with, in the sender's own headers: the document can't know them."""
_OF_AIOHTTP = {"server"}
"""Of the admin port, which says what it runs on to those who are let in."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered to one request."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


def resolved(document: Document, part: Any) -> Any:
    """Follow a reference."""
    if "$ref" not in part:
        return part
    found: Any = document
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def path_of(document: Document, path: str) -> str:
    """Return the path of the document that a request is for; more concrete ones come first."""
    wanted = path.partition("?")[0]
    for template in sorted(document["paths"], key=lambda name: (name.count("{"), -len(name))):
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), wanted):
            return str(template)
    raise AssertionError(f"the document has no path for {wanted}")


def problems_of(document: Document, answer: Answer) -> Iterator[str]:
    """Yield what the document does not say of an answer, or says otherwise."""
    where = f"{answer.method} {answer.path} {answer.status}"
    operation = document["paths"][path_of(document, answer.path)].get(answer.method.lower(), {})
    if str(answer.status) not in operation.get("responses", {}):
        yield f"{where}: the status is not named"
        return
    response = resolved(document, operation["responses"][str(answer.status)])
    for problem in (*_headers(response, answer), *_body(document, response, answer)):
        yield f"{where}: {problem}"


def _headers(response: Document, answer: Answer) -> Iterator[str]:
    named = {name.lower(): header for name, header in response.get("headers", {}).items()}
    for name, header in named.items():
        if name in answer.headers:
            for error in Draft202012Validator(header["schema"]).iter_errors(answer.headers[name]):
                yield f"header {name}: {error.message}"
        elif header.get("required"):
            yield f"header {name} is missing"
    others = set() if "server" in named else _OF_AIOHTTP
    if "x-content-type-options" in named:
        others = others | _OF_THE_VENDOR
    for name in set(answer.headers) - set(named) - _FRAMING - others:
        yield f"header {name} is not named"


def _body(document: Document, response: Document, answer: Answer) -> Iterator[str]:
    media_type = answer.media_type
    if media_type not in response["content"]:
        yield f"{media_type} is not named"
        return
    if answer.method == "HEAD" and not answer.body:
        return
    is_json = media_type.endswith("json")
    value = json.loads(answer.body) if is_json else answer.body.decode()
    schema = {**response["content"][media_type]["schema"], "components": document["components"]}
    for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(value):
        yield f"{error.json_path}: {error.message}"


def documented(document: Document) -> Iterator[tuple[str, str, str]]:
    """Yield path, method and status of all answers that the document names."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in {"parameters", "servers"}:
                for status in operation["responses"]:
                    yield path, method, status


def media_types(document: Document) -> set[tuple[str, str]]:
    """Return the names of all answers with each of their media types."""
    return {
        (name, media_type)
        for name, response in document["components"]["responses"].items()
        for media_type in response["content"]
    }


def name_of(document: Document, answer: Answer) -> str:
    """Return by what name the document has an answer; "" if it stands in its operation."""
    item = document["paths"][path_of(document, answer.path)]
    response = item[answer.method.lower()]["responses"][str(answer.status)]
    return str(response.get("$ref", "")).rpartition("/")[2]
