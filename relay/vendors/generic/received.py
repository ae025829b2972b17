"""What an event of any sender says: its type, id, time and conversation, as settings point to them.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from relay.events.event import Data, Identity, NormalizedEvent
from relay.events.json_pointers import Steps, find, parse_pointer
from relay.events.timestamps import from_epoch_ms, from_epoch_s, from_utc_text
from relay.vendors.generic import forms
from relay.vendors.generic.tokens import TokenRule
from relay.vendors.kit import raw_json
from relay.vendors.kit.fields import identifier, without_empty
from relay.vendors.kit.request import Request

_AND = " + "
_HEADER = "header:"
_CLOUDEVENTS = "ce-"
"""How headers begin that are percent-encoded (CloudEvents HTTP Protocol Binding, 3.1.3.2)."""
_MAX_DIGITS = 19
_MAX_SECONDS = 100_000_000_000
"""Times beyond it, in the year 5138, are in milliseconds."""


class Place(NamedTuple):
    """Where a value is: steps into the body, or a header in lower case."""

    steps: Steps = ()
    header: str = ""


Places = tuple[tuple[Place, ...], ...]
"""Alternatives, of which the first that is complete counts; each of one place or several."""


def parse_places(texts: tuple[str, ...]) -> Places:
    """Read places such as `/type`, `header:x-id` or `/source + /id`.

    Raises:
        ValueError: one is none.
    """
    return tuple(tuple(map(_place, text.split(_AND))) for text in texts)


def _place(text: str) -> Place:
    if text.startswith(_HEADER) and (name := text.removeprefix(_HEADER).strip()):
        return Place(header=name.lower())
    return Place(steps=parse_pointer(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """Where the parts of an event are.

    Args:
        type: the sender's word for what happened.
        id: what tells an event from all others; a resend has the same.
        time: of the sender's clock.
        conversation: what its events are kept in order by.
    """

    type: Places = ()
    id: Places = ()
    time: Places = ()
    conversation: Places = ()

    @property
    def headers(self) -> frozenset[str]:
        """Return the names of the headers that are read."""
        every = (*self.type, *self.id, *self.time, *self.conversation)
        return frozenset(place.header for places in every for place in places if place.header)

    def events(self, request: Request, tokens: TokenRule | None) -> list[NormalizedEvent]:
        """Return the one event; none for an empty test call.

        Args:
            request: authenticated.
            tokens: the rule of a token that may be in the body, which is not kept.

        Raises:
            Malformed: the body is neither JSON nor a form.
        """
        raw = raw_json.strip_bom(request.body)
        if not raw:
            return []
        data: Data = {}
        if is_form := forms.is_form(request):
            without = tokens.without_token(raw, is_form=True) if tokens else raw
            body: Any = forms.read_form(without)
            raw = orjson.dumps(without.decode())
            data["form"] = body
        else:
            body = raw_json.parse(raw)
            raw = tokens.without_token(raw, is_form=is_form) if tokens else raw
        return [self._event(body, raw, data, request.headers)]

    def _event(
        self, body: Any, raw: bytes, data: Data, headers: Mapping[str, str]
    ) -> NormalizedEvent:
        kind = _first(self.type, body, headers)
        conversation = _first(self.conversation, body, headers)
        word = kind[0] if kind else ""
        return NormalizedEvent(
            type="received",
            detail=word,
            vendortype=word or "received",
            time=self._time(body, headers),
            data=data | without_empty(conversation=_with_id(conversation)),
            raw=raw,
            identity=self._identity(body, headers),
        )

    def _identity(self, body: Any, headers: Mapping[str, str]) -> Identity:
        """Return the sender's id; without one, two equal bodies may be two occurrences."""
        found = _first(self.id, body, headers)
        return ("id", *found) if found else "delivery"

    def _time(self, body: Any, headers: Mapping[str, str]) -> str | None:
        for places in self.time:
            if timestamp := _timestamp(_value(places[0], body, headers)):
                return timestamp
        return None


def _first(places: Places, body: Any, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the first alternative that is complete, or nothing."""
    for alternative in places:
        found = [identifier(_value(place, body, headers)) for place in alternative]
        if all(found):
            return tuple(filter(None, found))
    return ()


def _value(place: Place, body: Any, headers: Mapping[str, str]) -> Any:
    if not place.header:
        return find(body, place.steps)
    value = headers.get(place.header)
    if value and place.header.startswith(_CLOUDEVENTS):
        return unquote(value)
    return value


def _with_id(found: tuple[str, ...]) -> Data:
    return {"id": "/".join(found)} if found else {}


def _timestamp(value: object) -> str | None:
    """Read seconds or milliseconds since 1970, or a text that says when."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if type(value) is int:
        return from_epoch_s(value) if abs(value) < _MAX_SECONDS else from_epoch_ms(value)
    return from_utc_text(value)
