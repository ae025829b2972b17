"""Cuts a delivery of Meta into its elements, and notes where each was.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started#event-notifications

A delivery has entries; those of WhatsApp have changes, and these have messages and statuses, those
of Messenger and Instagram have messages.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from relay.errors import Malformed
from relay.events.event import MAX_EVENTS, NotUnderstood
from relay.vendors.kit import raw_json
from relay.vendors.kit.batches import (
    Element,
    array_begin,
    read_batch,
    read_element,
    split_arrays,
    split_batch,
)
from relay.vendors.kit.fields import identifier, mapping, sequence, text
from relay.vendors.parts import meta_whatsapp

MESSAGING = ("messaging", "standby")

_LISTS = ("changes", *MESSAGING)
_INNERMOST = array_begin(*meta_whatsapp.LISTS, *MESSAGING)
_WHATSAPP_FIELDS = {"messages", "smb_message_echoes"}
# By what an element is known that comes alone; the first that it has.
_MARKS = {
    "sender": "messaging",
    "recipient": "messaging",
    "status": "statuses",
    "to": "message_echoes",
    "from": "messages",
}


class ElementContext(NamedTuple):
    """Where an element is: the list it is in, and what is said around it."""

    kind: str
    object_type: str | None = None
    account_id: str | None = None
    value: Mapping[str, Any] = {}


class PlacedElement(NamedTuple):
    """An element, parsed, and where it is."""

    context: ElementContext
    value: Any


def elements_of(body: bytes) -> list[Element | NotUnderstood]:
    """Return the elements of a delivery; their values are `PlacedElement`s.

    Raises:
        Malformed: as `step_by_step`.
    """
    return as_documented(body) or step_by_step(body)


def as_documented(body: bytes) -> list[Element | NotUnderstood]:
    """Return the elements of a delivery that has them in its innermost lists, and nothing else.

    Nearly all are so. One cut instead of three takes half of the time. There are none if any of it
    is otherwise, or wrong.
    """
    try:
        rest, texts = split_arrays(body, _INNERMOST)
        document = mapping(raw_json.parse(raw_json.repair(rest)))
    except Malformed:
        return []
    object_type = text(document.get("object"))
    contexts: list[ElementContext] = []
    for entry in map(mapping, sequence(document.get("entry"))):
        found = _contexts(entry, object_type)
        if not found:
            return []
        contexts += found
    if len(contexts) != len(texts):
        return []
    return [_read(element, context) for context, element in zip(contexts, texts, strict=True)]


def _contexts(entry: Mapping[str, Any], object_type: str | None) -> list[ElementContext]:
    """Return where each element of an entry is; nothing unless all are in innermost lists."""
    account_id = identifier(entry.get("id"))
    contexts: list[ElementContext] = []
    for name, listed in entry.items():
        if name == "changes":
            for change in map(mapping, sequence(listed)):
                value = mapping(change.get("value"))
                kinds = _kinds(value, meta_whatsapp.LISTS)
                if not kinds or text(change.get("field")) not in _WHATSAPP_FIELDS:
                    return []
                contexts += [ElementContext(kind, object_type, account_id, value) for kind in kinds]
        elif name in MESSAGING:
            kinds = _kinds({name: listed}, MESSAGING)
            contexts += [ElementContext(kind, object_type, account_id) for kind in kinds]
    return contexts


def step_by_step(body: bytes) -> list[Element | NotUnderstood]:
    """Return the elements of any delivery: cut into entries, those into changes, those into lists.

    What is in none of the lists is an element as a whole: an entry, a change, or what comes alone.

    Raises:
        Malformed: `not_json`, `too_deep`, `too_many_events`, or `unknown_shape`.
    """
    document, entries = read_batch(body, "entry")
    if "entry" not in document:
        return _alone(body)
    if document["entry"] != [0] * len(entries):
        raise Malformed("unknown_shape")
    return _bounded(_of_entries(entries, text(document.get("object"))))


def _alone(body: bytes) -> list[Element | NotUnderstood]:
    """Return an element that comes without what was around it."""
    element = read_element(body)
    value = mapping(element.value) if isinstance(element, Element) else {}
    if "field" in value and "value" in value:
        return _bounded(_of_change(body, ElementContext("changes")))
    if any(name in value for name in ("changes", *MESSAGING)):
        return _bounded(_of_entry(body, None))
    for name, kind in _MARKS.items():
        if name in value:
            return [_read(body, ElementContext(kind))]
    raise Malformed("unknown_shape")


def _bounded(elements: Iterator[Element | NotUnderstood]) -> list[Element | NotUnderstood]:
    """Read no more elements than a delivery may have, whatever lists they are spread over."""
    found = list(islice(elements, MAX_EVENTS + 1))
    if len(found) > MAX_EVENTS:
        raise Malformed("too_many_events")
    return found


def _of_entries(
    entries: Sequence[bytes], object_type: str | None
) -> Iterator[Element | NotUnderstood]:
    for entry in entries:
        yield from _of_entry(entry, object_type)


def _of_entry(entry: bytes, object_type: str | None) -> Iterator[Element | NotUnderstood]:
    cut = split_arrays(entry, array_begin(*_LISTS))
    try:
        members, kinds, texts = _listed(entry, cut, _LISTS)
    except Malformed as error:
        yield _unread(entry, error)
        return
    account_id = identifier(members.get("id"))
    if not texts or len(kinds) != len(texts):
        # Nothing else is known but the comments of Instagram, which have no list around them.
        yield _read(entry, ElementContext("changes", object_type, account_id))
        return
    for kind, element in zip(kinds, texts, strict=True):
        context = ElementContext(kind, object_type, account_id)
        if kind == "changes":
            yield from _of_change(element, context)
        else:
            yield _read(element, context)


def _of_change(change: bytes, context: ElementContext) -> Iterator[Element | NotUnderstood]:
    """Yield the messages and statuses of a change; the change itself if it is another one."""
    cut = split_arrays(change, array_begin(*meta_whatsapp.LISTS))
    try:
        members, kinds, texts = _listed(change, cut, meta_whatsapp.LISTS, "value")
    except Malformed as error:
        yield _unread(change, error)
        return
    value = mapping(members.get("value"))
    if text(members.get("field")) in _WHATSAPP_FIELDS and texts and len(kinds) == len(texts):
        for kind, element in zip(kinds, texts, strict=True):
            yield _read(element, context._replace(kind=kind, value=value))
    else:
        yield _read(change, context)


def _unread(raw: bytes, error: Malformed) -> NotUnderstood:
    """Return an entry or change that can't be cut; too many events are the whole delivery's."""
    if error.reason == "too_many_events":
        raise error
    return NotUnderstood(reason=error.reason, raw=raw)


def _listed(
    raw: bytes, cut: tuple[bytes, Sequence[bytes]], names: Sequence[str], *holder: str
) -> tuple[Mapping[str, Any], list[str], Sequence[bytes]]:
    """Return an object whose lists of these names were cut, the kinds of their elements, and these.

    There may be more elements than kinds, or fewer, if the lists hold something else.

    Args:
        raw: the object.
        cut: what `split_arrays` made of it.
        names: of the lists.
        holder: the member that holds them, if it is not the object itself.

    Raises:
        Malformed: `not_json` or `too_deep`, leaving the elements aside; `too_many_events`.
    """
    rest, texts = cut
    members, kinds = _rest(rest, names, *holder)
    if not kinds or len(kinds) == len(texts):
        return members, kinds, texts
    # Others are in lists of these names elsewhere. To look for the right ones takes longer.
    rest, texts = split_batch(raw, *[{name} for name in holder], {*names})
    return *_rest(rest, names, *holder), texts


def _rest(rest: bytes, names: Sequence[str], *holder: str) -> tuple[Mapping[str, Any], list[str]]:
    members = held = mapping(raw_json.parse(raw_json.repair(rest)))
    for name in holder:
        held = mapping(held.get(name))
    return members, _kinds(held, names)


def _kinds(members: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return for each element that was cut out of one of the lists which one it was."""
    return [
        name
        for name, value in members.items()
        if name in names and type(value) is list and value == [0] * len(value)
        for _ in value
    ]


def _read(raw: bytes, context: ElementContext) -> Element | NotUnderstood:
    element = read_element(raw)
    if isinstance(element, NotUnderstood):
        return element
    return element._replace(value=PlacedElement(context, element.value))
