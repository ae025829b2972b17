"""What is expected of a payload: `NAME.expected.json` beside `NAME.json`.

    {"events": [{"routing_key": ..., "type": ..., "data": {...}, "raw": "/events/0"}, ...]}

Or `{"quarantined": "REASON"}`, or `{"handshake": true}`. Where some elements are quarantined alone,
`quarantined` beside `events` lists their reasons. `raw` is a JSON pointer to the element in the
payload, `without` names members of it that are taken out, as a secret is. `request`, with
`headers` and `query`, says how the payload comes in, where that matters.

Ids are compared only where the expectation names them: many are another one for each delivery.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from multidict import CIMultiDict

from relay.cli.dry_run import inspect
from relay.cli.input_file import read_body
from relay.errors import Malformed, RelayError
from relay.events.json_pointers import find, parse_pointer
from relay.ingress.processing import ProcessedDelivery, Source
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import mapping, sequence
from relay.vendors.kit.known_fields import escaped
from relay.vendors.kit.request import Request

MAX_BYTES = 16 * 1024 * 1024
"""Of an expectation; far more than any event."""
ATTRIBUTES = ("type", "vendortype", "subject", "time", "partitionkey", "data")
"""Of an event, what is always compared, besides its routing key."""
_MEMBERS = {"events", "quarantined", "handshake", "request"}
_IN_ELEMENT = re.compile(r"/events/[0-9]+/raw(/|$)")
_NOTHING = object()


class Difference(NamedTuple):
    """Where expectation and outcome differ.

    Args:
        pointer: JSON pointer into the expectation; below `raw` it goes on in the element.
        expected: as JSON, or "nothing".
        found: likewise.
    """

    pointer: str
    expected: str
    found: str


def path_of(payload: Path) -> Path:
    """Return the file beside a payload that says what is expected."""
    return payload.with_name(payload.name.removesuffix(payload.suffix) + ".expected.json")


def read(path: Path) -> dict[str, Any]:
    """Return an expectation.

    Raises:
        RelayError: it can't be read, or is none.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RelayError(f"{path.name} has more than {MAX_BYTES:,} bytes.")
    text = read_body(path)
    try:
        raw_json.parse(text)
        expected = json.loads(text)  # integers of any size stay exact
    except (Malformed, ValueError) as error:
        raise RelayError(f"{path.name} is no JSON, or too deep.") from error
    problem = _problem(expected)
    if problem:
        raise RelayError(f"{path.name}: {problem}.")
    return dict(expected)


def _problem(expected: object) -> str | None:
    if type(expected) is not dict or not {"events", "quarantined", "handshake"} & expected.keys():
        return "it must be an object with events, quarantined or handshake"
    if unknown := sorted(expected.keys() - _MEMBERS):
        return f"it has {json.dumps(unknown[0])}, which is none of {', '.join(sorted(_MEMBERS))}"
    events = expected.get("events", [])
    if type(events) is not list or not all(type(event) is dict for event in events):
        return "events must be an array of objects"
    if not all(map(_has_pointer, events)):
        return "the raw of an event must be a JSON pointer, its without an array of strings"
    request = expected.get("request", {})
    headers = mapping(request).get("headers", {})
    texts = [mapping(request).get("query", ""), *mapping(headers).values()]
    if type(request) is not dict or type(headers) is not dict or set(map(type, texts)) - {str}:
        return "request must be an object with headers, an object of strings, and query, a string"
    return None


def _has_pointer(event: Mapping[str, Any]) -> bool:
    taken_out = event.get("without", [])
    are_names = type(taken_out) is list and not set(map(type, taken_out)) - {str}
    return type(event.get("raw", "")) is str and are_names


def differences(body: bytes, expected: Mapping[str, Any], source: Source) -> list[Difference]:
    """Return where the outcome of a payload differs from what is expected.

    Raises:
        RelayError: the payload would be refused, or a pointer of the expectation leads nowhere.
    """
    document = _document(body)
    wanted: dict[str, Any] = {name: value for name, value in expected.items() if name != "request"}
    if "events" in wanted:
        wanted["events"] = [_with_element(event, document) for event in wanted["events"]]
    found = _outcome(_processed(body, mapping(expected.get("request")), source))
    compared = sequence(wanted.get("events"))
    for event, other in zip(found.get("events", []), compared, strict=False):
        for name in event.keys() - {"routing_key", *ATTRIBUTES, *other}:
            del event[name]
    for event in found.get("events", [])[len(compared) :]:
        del event["raw"]
    return list(_differences(wanted, found, ""))


def written(body: bytes, source: Source) -> dict[str, Any]:
    """Return the outcome of a payload as an expectation, for a person to check."""
    document, found = _document(body), _outcome(_processed(body, {}, source))
    for event in found.get("events", []):
        raw = event.pop("raw")
        for name in event.keys() - {"routing_key", *ATTRIBUTES}:
            del event[name]
        pointer = next((place for place, part in _parts(document) if _is_same(part, raw)), None)
        if pointer is not None:
            event["raw"] = pointer
    return found


def _processed(body: bytes, request: Mapping[str, Any], source: Source) -> ProcessedDelivery:
    headers = CIMultiDict(mapping(request.get("headers")))
    query = request.get("query", "")
    delivery = Request(body=body, headers=headers, query_string=query, received_at=time.time())
    return inspect(delivery, source).processed


def _outcome(processed: ProcessedDelivery) -> dict[str, Any]:
    if processed.reason:
        return {"quarantined": processed.reason}
    if not processed.messages:
        return {"handshake": True}
    events = []
    for message in processed.messages:
        if not message.is_quarantined:
            event = json.loads(message.body)
            raw = event["data"].pop("raw")
            known = {name: event.pop(name) for name in ATTRIBUTES if name in event}
            events.append({"routing_key": message.routing_key, **known, "raw": raw, **event})
    quarantined = {"quarantined": list(processed.reasons)} if processed.reasons else {}
    return {"events": events, **quarantined}


def _document(body: bytes) -> Any:
    """Return the payload as JSON; _NOTHING if it is none."""
    try:
        return json.loads(raw_json.repair(raw_json.strip_bom(body)))
    except (ValueError, RecursionError):
        return _NOTHING


def _with_element(event: Mapping[str, Any], document: Any) -> dict[str, Any]:
    """Return an expected event with the element that its `raw` points to."""
    if "raw" not in event:
        return dict(event)
    try:
        steps = parse_pointer(event["raw"]) if event["raw"] else ()
        part = find(document, steps, _NOTHING)
    except ValueError:
        part = _NOTHING
    if part is _NOTHING:
        raise RelayError(f"raw is {json.dumps(event['raw'])}, which points to nothing in it.")
    taken_out = sequence(event.get("without"))
    if taken_out and type(part) is dict:
        part = {name: value for name, value in part.items() if name not in taken_out}
    return {name: value for name, value in event.items() if name != "without"} | {"raw": part}


def _parts(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield where an event's element may be: all of it, its members, and what is in arrays."""
    yield "", document
    for name, member in mapping(document).items():
        yield f"/{escaped(name)}", member
        for number, element in enumerate(sequence(member)):
            yield f"/{escaped(name)}/{number}", element
    for number, element in enumerate(sequence(document)):
        yield f"/{number}", element


def _is_same(one: object, other: object) -> bool:
    return next(_differences(one, other, ""), None) is None


def _differences(expected: Any, found: Any, pointer: str) -> Iterator[Difference]:
    if type(expected) is dict and type(found) is dict:
        for name in [*expected, *(name for name in found if name not in expected)]:
            place = f"{pointer}/{escaped(name)}"
            yield from _differences(expected.get(name, _NOTHING), found.get(name, _NOTHING), place)
        if expected == found and [*expected] != [*found] and _IN_ELEMENT.match(pointer):
            yield Difference(pointer, _shown([*expected]), _shown([*found]))  # their order
    elif type(expected) is list and type(found) is list:
        pairs = zip_longest(expected, found, fillvalue=_NOTHING)
        for number, (one, other) in enumerate(pairs):
            yield from _differences(one, other, f"{pointer}/{number}")
    elif type(expected) is not type(found) or expected != found:  # 0 is not false
        yield Difference(pointer, _shown(expected), _shown(found))


def _shown(value: object) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False)
