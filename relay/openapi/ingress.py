"""The public listener: what each source takes, and what it answers. Pure.

The refusals are those of `errors`: a new one there is in the document, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from relay.errors import (
    BodyTooLarge,
    BodyTooSlow,
    HeadTooLarge,
    HeadTooSlow,
    InternalError,
    MethodNotAllowed,
    NotForBrowsers,
    Refused,
    ServiceUnavailable,
    Unauthenticated,
    UnknownSource,
    UnsupportedEncoding,
)
from relay.openapi.operations import (
    JSON,
    Document,
    array,
    closed,
    content,
    header,
    item,
    operation,
    parameter,
    ref,
)

TAG: Document = {"name": "ingress", "description": "The public listener: webhooks in."}
PROBLEM = "application/problem+json"
_TEXT = "text/plain"
_FORM = "application/x-www-form-urlencoded"
_NOT_OF_THE_INGRESS = {NotForBrowsers, HeadTooSlow}
"""The first is of the admin port; the second gets no answer."""
_ALWAYS = (Refused, HeadTooLarge, ServiceUnavailable)
"""What is refused whatever the path and the method."""
_OF_ANY_BODY = (
    *(*_ALWAYS, Unauthenticated, BodyTooSlow, BodyTooLarge),
    *(UnsupportedEncoding, InternalError),
)
_SERVER = header({"const": "relay"}, "Always the same.")
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_REASON = {"type": "string", "pattern": "^[a-z0-9_]+$"}
_SECRET_IN_PATH = parameter(
    "secret", "path", {"type": "string"}, "For a vendor whose secret is part of the URL."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePath:
    """What the document says of a source.

    Args:
        name: in the path.
        vendor: who sends.
        asks: the methods in which the vendor asks something.
        echoes: whether the vendor wants to read its token in the answer.
    """

    name: str
    vendor: str
    asks: Sequence[str]
    echoes: bool


def paths(sources: Iterable[SourcePath], methods: Sequence[str]) -> Document:
    """Return the path items of all sources, and those of names that are none.

    Args:
        sources: the configured ones.
        methods: those in which a vendor may ask something.
    """
    found: Document = {}
    for source in sources:
        found[f"/in/{source.name}"] = path_item = _source_item(source, methods)
        found[f"/in/{source.name}/{{secret}}"] = path_item | {"parameters": [_SECRET_IN_PATH]}
    name = parameter("source", "path", {"type": "string"}, "A name that is not configured.")
    unknown = unknown_item()
    found["/in/{source}"] = unknown | {"parameters": [name]}
    found["/in/{source}/{secret}"] = unknown | {"parameters": [name, _SECRET_IN_PATH]}
    return found


def unknown_item() -> Document:
    """Return the path item of what is no source."""
    return item({}, _refusals(*_ALWAYS, UnknownSource))


def _source_item(source: SourcePath, methods: Sequence[str]) -> Document:
    operations = {"post": _post(source)}
    for method in methods:
        if method in source.asks:
            operations[method.lower()] = _question(source)
    return item(operations, _refusals(*_ALWAYS, MethodNotAllowed))


def _post(source: SourcePath) -> Document:
    ok = ref("responses", _ok_name(source))
    return operation(
        str(TAG["name"]),
        f"Take a delivery of {source.vendor}",
        {"200": ok, **_refusals(*_OF_ANY_BODY)},
        requestBody={
            "description": "As the vendor sends it, within `ingress.body_limit_bytes`.",
            "content": {"*/*": {}},
        },
    )


def _ok_name(source: SourcePath) -> str:
    if source.echoes:
        return "TakenWithToken"
    return "TakenOrAnswered" if "POST" in source.asks else "Taken"


def _question(source: SourcePath) -> Document:
    answers = _refusals(*_OF_ANY_BODY, MethodNotAllowed)
    summary = f"Answer a question of {source.vendor}"
    return operation(str(TAG["name"]), summary, {"200": ref("responses", "Answered"), **answers})


def _refusals(*errors: type[Refused]) -> dict[str, Document]:
    return {str(error.status): ref("responses", _name_of(error.status)) for error in errors}


def _name_of(status: int) -> str:
    return f"Refused{status}"


def _all_refusals() -> Iterator[type[Refused]]:
    waiting: list[type[Refused]] = [Refused]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error not in _NOT_OF_THE_INGRESS:
            yield error


def responses() -> Document:
    """Return the answers of the ingress, by name."""
    by_status: dict[int, list[type[Refused]]] = {}
    for error in _all_refusals():
        by_status.setdefault(error.status, []).append(error)
    return {
        **_successes(),
        **{_name_of(status): _refusal(errors) for status, errors in sorted(by_status.items())},
    }


def _refusal(errors: Sequence[type[Refused]]) -> Document:
    """Return the answer that several errors of one status have."""
    ordered = sorted(errors, key=lambda error: error.slug)
    headers: Document = {"Server": _SERVER}
    if MethodNotAllowed in errors:
        headers["Allow"] = header({"const": "POST"}, "Events come with POST.")
    if ServiceUnavailable in errors:
        headers["Retry-After"] = header({"type": "string", "pattern": "^[0-9]+$"}, "Seconds.")
    # A disk that hangs may store it later, and a bug of ours may show only once it is stored.
    is_certain = {ServiceUnavailable, InternalError}.isdisjoint(errors)
    stored = "Nothing was stored" if is_certain else "It may be stored all the same"
    problems = [
        closed(
            {
                "type": {"const": error.slug},
                "title": {"const": error.title},
                "status": {"const": error.status},
                "request_id": {"type": "string", "description": "As in the log."},
            }
        )
        for error in ordered
    ]
    return {
        "description": f"{'; '.join([error.title for error in ordered])}. {stored}.",
        "headers": headers,
        "content": content(problems[0] if len(problems) == 1 else {"oneOf": problems}, PROBLEM),
    }


def _successes() -> Document:
    taken = content({"oneOf": [ref("schemas", "Accepted"), ref("schemas", "Quarantined")]})
    text = content({"type": "string"}, _TEXT)
    with_token = {
        **content(
            {
                "oneOf": [
                    *[ref("schemas", name) for name in ("Accepted", "Quarantined", "Token")],
                    {"type": "string", "description": "The token, as it was sent."},
                ]
            }
        ),
        **text,
        **content({"type": "string", "pattern": "^token="}, _FORM),
    }
    no_sniffing = {
        "X-Content-Type-Options": header({"const": "nosniff"}, "It is no page."),
        "Cache-Control": header({"const": "no-store"}, "It is for this caller."),
    }
    also_answered: Mapping[str, Document] = {
        name: value | {"required": False} for name, value in no_sniffing.items()
    }
    anything = {"anyOf": [*taken[JSON]["schema"]["oneOf"], {"type": "object"}]}
    answered = {
        "description": "What the vendor wants to read. Nothing was stored.",
        "headers": {"Server": _SERVER, **no_sniffing},
    }
    stored = "Durable, or a call without events, such as a handshake"
    return {
        "Taken": _success(f"{stored}.", taken),
        "TakenWithToken": _success(f"{stored}, whose token is read back.", with_token),
        "TakenOrAnswered": _success(
            f"{stored}, whose challenge is answered.",
            {JSON: {"schema": anything}, **text},
            also_answered,
        ),
        "Answered": answered | {"content": content({}) | text},
    }


def _success(
    description: str, contents: Document, headers: Mapping[str, Document] | None = None
) -> Document:
    return {
        "description": description,
        "headers": {"Server": _SERVER, **(headers or {})},
        "content": contents,
    }


def schemas() -> Document:
    """Return what the answers hold, by name."""
    token = {"type": "string", "description": "The token of the request, if the vendor wants it."}
    alone = closed({"reason": _REASON, "id": _ID})
    accepted = {
        "status": {"const": "accepted"},
        "events": array(_ID) | {"description": "What became durable and will be published."},
        "quarantined": array(alone) | {"minItems": 1, "description": "What is kept for a person."},
        "ignored": array(_ID) | {"minItems": 1, "description": "What the settings leave out."},
        "token": token,
    }
    quarantined = {
        "status": {"const": "quarantined"},
        "reason": _REASON,
        "id": _ID,
        "token": token,
    }
    return {
        "Accepted": closed(accepted, ("quarantined", "ignored", "token")),
        "Quarantined": closed(quarantined, ("token",)),
        "Token": closed({"token": token}),
    }
