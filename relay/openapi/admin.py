"""The admin port: probes, metrics, and what was seen. Pure.

What refuses a path or a method there, or what is no HTTP, is aiohttp, in plain text.
"""

from relay.errors import AUTHENTICATION_REASONS, NotForBrowsers, Refused
from relay.observability.capture import MAX_FOR_S, MAX_REQUESTS
from relay.observability.drift_report import MAX_SHOWN
from relay.observability.recent_requests import FILTERS, VERDICTS
from relay.observability.recent_requests import MAX_REQUESTS as MAX_RECENT
from relay.openapi.operations import (
    JSON,
    METHODS,
    Document,
    array,
    closed,
    content,
    header,
    item,
    operation,
    parameter,
    ref,
    refused,
)

TAG: Document = {"name": "admin", "description": "The admin port, never on the public one."}
_PROMETHEUS = "text/plain"
_TEXT: Document = {"type": "string"}
_COUNT: Document = {"type": "integer", "minimum": 0}
_SECONDS: Document = {"type": "number", "minimum": 0}
_TIME: Document = {"type": "string", "format": "date-time"}
_AFTER = parameter("after", "query", _TEXT, "A cursor: only what came since.")
_LATEST = parameter("latest", "query", {"type": "boolean"}, "The newest since `after`.")
_NO_HTTP = {"400": ref("responses", "AdminNoHttp")}


def paths() -> Document:
    """Return the path items of the admin port."""
    ready = {
        "description": "A webhook sent now would be accepted.",
        "content": content(ref("schemas", "Readiness")),
    }
    unready = ready | {"description": "It would not; `reason` says why."}
    metrics = {
        "description": "In the text format of Prometheus.",
        "content": {_PROMETHEUS: {"schema": _TEXT}},
    }
    return {
        "/livez": _got("Whether the process runs", {"200": _ok("Alive", "It runs.")}),
        "/readyz": _got("Whether a webhook would be accepted", {"200": ready, "503": unready}),
        "/metrics": _got("Metrics for Prometheus", {"200": metrics}),
        "/drift": _got(
            "Fields that vendors send and nobody knows", {"200": _ok("Drift", "The newest first.")}
        ),
        "/recent": _got(
            "The latest requests, never a value of what was sent",
            {"200": _ok("Recent", "In the order of their answers."), "400": _refusal()},
            [*map(_filter, FILTERS), _AFTER, _LATEST, _limit()],
        ),
        "/capture": _capture(),
    }


def merge_unknown(public: Document) -> Document:
    """Return the path item of what neither port has, from that of the ingress."""
    name = parameter("path", "path", _TEXT, "Anything else.")
    found: Document = {"parameters": [name]}
    for method in METHODS:
        answers = dict(public[method]["responses"])
        for status in ("400", "404"):
            answers[status] = ref("responses", f"Either{status}")
        found[method] = refused(answers)
    return found


def _got(summary: str, responses: Document, parameters: list[Document] | None = None) -> Document:
    """Return the path item of what is got with GET, or asked for with HEAD."""
    others: Document = {"parameters": parameters} if parameters else {}
    got = _operation(summary, {**_NO_HTTP, **responses}, **others)
    operations = {"get": got, "head": got}
    return item(operations, {"405": ref("responses", "AdminNotAllowed"), **_NO_HTTP})


def _operation(summary: str, responses: Document, **others: object) -> Document:
    return operation(str(TAG["name"]), summary, responses, **others)  # type: ignore[arg-type]


def _filter(name: str) -> Document:
    schema: Document = {"enum": [*VERDICTS]} if name == "verdict" else _TEXT
    return parameter(name, "query", schema, "Only requests that have it.")


def _limit() -> Document:
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_RECENT}
    return parameter("limit", "query", schema, "How many at most.")


def _capture() -> Document:
    order = closed(
        {
            "source": _TEXT,
            "for_s": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_FOR_S},
            "refused": {"type": "boolean", "description": "Only what is refused."},
        }
    )
    answers = {
        "200": _ok("Capture", "What is kept."),
        "400": _refusal(),
        "403": ref("responses", "NotForBrowsers"),
    }
    post = _operation("Begin to keep whole requests", answers)
    post["requestBody"] = {"required": True, "content": {JSON: {"schema": order}}}
    operations = {
        "get": _operation("What was kept", answers, parameters=[_AFTER]),
        "post": post,
        "delete": _operation("End, and forget all of it", answers),
    }
    return item(operations, {"405": ref("responses", "AdminNotAllowed"), **_NO_HTTP})


def _ok(schema: str, description: str) -> Document:
    return {"description": description, "content": content(ref("schemas", schema))}


def _refusal() -> Document:
    """Return the answer to what is no query or order, or no HTTP."""
    return {
        "description": "The query, the order or the request is wrong.",
        "content": {**content(ref("schemas", "Detail")), **content(_TEXT, "text/plain")},
    }


def responses() -> Document:
    """Return the answers of the admin port, by name."""
    text = content(_TEXT, "text/plain")
    problem = {"application/problem+json": {"schema": {"type": "object", "required": ["type"]}}}
    return {
        "AdminNoHttp": {"description": "The request is no HTTP.", "content": text},
        "AdminNotAllowed": {
            "description": "There is no such method here.",
            "headers": {"Allow": header(_TEXT, "Those that there are.")},
            "content": text,
        },
        "Either400": {"description": "The request is no HTTP.", "content": {**text, **problem}},
        "Either404": {"description": "There is no such path.", "content": {**text, **problem}},
        "NotForBrowsers": {
            "description": f"{NotForBrowsers.title}. Ask by address, such as 127.0.0.1.",
            "content": content(ref("schemas", "Detail")),
        },
    }


def schemas() -> Document:
    """Return what the answers hold, by name."""
    slugs = {"enum": [Refused.slug, NotForBrowsers.slug]}
    parked = closed(
        {
            "count": _COUNT,
            "reason": {"type": ["string", "null"]},
            "at": {"type": ["number", "null"], "description": "Seconds since 1970."},
        }
    )
    outbox = closed(
        {
            "messages": _COUNT,
            **dict.fromkeys(("bytes", "used_bytes", "max_bytes"), _COUNT),
            "oldest_age_s": _SECONDS,
            "parked": parked,
        }
    )
    broker = closed(
        {
            "state": {"enum": ["connected", "blocked", "disconnected"]},
            "reason": {"type": ["string", "null"]},
        }
    )
    return {
        "Alive": closed({"alive": {"const": True}}),
        "Detail": closed({"type": slugs, "detail": _TEXT}),
        "Readiness": _readiness(broker, outbox),
        "Drift": closed({"fields": array(_drift_row()) | {"maxItems": MAX_SHOWN}}),
        "Recent": closed(
            {
                "cursor": _TEXT,
                "missed": {"type": ["integer", "null"], "minimum": 0},
                "skipped": _COUNT,
                "requests": array(_recent_row()) | {"maxItems": MAX_RECENT},
            },
            ("skipped",),
        ),
        "Capture": closed(
            {
                "active": {"type": "boolean"},
                "source": _TEXT,
                "cursor": _TEXT,
                "requests": array(_captured()),
            }
        ),
    }


def _readiness(broker: Document, outbox: Document) -> Document:
    silent = closed({"last_seen": {"type": ["string", "null"]}, "expect_every_s": _SECONDS})
    members: Document = {
        "ready": {"type": "boolean"},
        "reason": _TEXT | {"description": "Why not."},
        "broker": broker,
        "outbox": outbox | {"description": "Unless `ingress.ack_after` is `confirm`."},
        "silent": {"type": "object", "additionalProperties": silent},
    }
    worker = closed({"worker": _COUNT, **members}, ("reason", "broker", "outbox", "silent"))
    several = array(worker) | {"description": "Of several: each as above."}
    return closed({**members, "workers": several}, ("reason", "outbox", "silent", "workers"))


def _drift_row() -> Document:
    texts = dict.fromkeys(("vendor", "type", "path"), _TEXT)
    return closed({**texts, "first_seen": _TIME, "last_seen": _TIME, "count": _COUNT})


def _recent_row() -> Document:
    texts = array(_TEXT)
    optional: Document = {
        "worker": _COUNT,
        **dict.fromkeys(("client", "type", "routing_key", "detail", "content_type"), _TEXT),
        "reason": _TEXT | {"examples": [*AUTHENTICATION_REASONS]},
        **dict.fromkeys(("ignored", "events", "quarantined_alone", "bytes"), _COUNT),
        **dict.fromkeys(("types", "event_ids", "reasons"), texts),
        **dict.fromkeys(("header_names", "query_names", "body_names"), texts),
    }
    always: Document = {
        "cursor": _TEXT,
        "time": _TIME,
        "request_id": _TEXT,
        "source": _TEXT,
        "method": _TEXT,
        "status": {"type": "integer", "minimum": 100, "maximum": 599},
        "verdict": {"enum": [*VERDICTS]},
        "duration_ms": _SECONDS,
    }
    return closed(always | optional, optional)


def _captured() -> Document:
    pair = array(_TEXT) | {"minItems": 2, "maxItems": 2}
    return closed(
        {
            "number": {"type": "integer", "minimum": 1, "maximum": MAX_REQUESTS},
            "time": _TIME,
            "request_id": _TEXT,
            "status": {"type": "integer", "minimum": 100, "maximum": 599},
            "method": _TEXT,
            "target": _TEXT,
            "headers": array(pair),
            "body": _TEXT | {"contentEncoding": "base64"},
        }
    )
