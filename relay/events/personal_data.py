"""Personal data: what of an event is removed, masked or made a pseudonym before it is kept. Pure.

A pointer finds values; what is done to a value where it was found is done to the same value
wherever else the delivery has it, so that none is left in `raw`, in `subject` or in a header. The
words that say what kind of event it is stay, for routing depends on them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, unquote_plus

from relay.events import json_tree
from relay.events.event import Data, NormalizedEvent, NotUnderstood
from relay.events.json_pointers import Steps
from relay.events.redaction_rules import (
    Located,
    Redaction,
    RedactionRule,
    Values,
    locate,
    strictest,
)
from relay.events.value_replacer import MAX_SEARCHED, Replacer

MIN_SEARCHED_CHARACTERS = 4
"""A shorter value is redacted where a pointer finds it, and as an id, but nowhere else."""

_KEYS: tuple[Steps, ...] = (("conversation", "id"), ("contact", "id"), ("contact", "phone"))
"""What `subject` and `partitionkey` are made of."""


class Redactor:
    """Redacts one delivery. First it must `learn` its events; then they may be redacted.

    Args:
        redaction: see there.
        is_again: whether the delivery was redacted before and kept in quarantine: what looks like
            a pseudonym is one.
    """

    def __init__(self, redaction: Redaction, *, is_again: bool = False) -> None:
        self._redaction = redaction
        self._is_again = is_again
        self._values: Values = {}  # of the whole delivery
        self._for_all: tuple[int, Replacer] | None = None
        self._in_headers: dict[tuple[int, str], list[str]] = {}

    def learn(self, elements: Iterable[NormalizedEvent | NotUnderstood]) -> None:
        """Find the values in the elements of a delivery."""
        for element in elements:
            try:
                raw = json_tree.parse(element.raw) if self._redaction.raw_rules else None
                if isinstance(element, NotUnderstood):
                    found = self._located_in_body(raw)
                else:
                    found = self._located_in(element.data, raw)
            except (RecursionError, ValueError):
                continue  # to redact it fails, too, and is dealt with there
            _note(self._values, found)

    def event(self, event: NormalizedEvent) -> NormalizedEvent:
        """Return the event without what is to be redacted.

        Raises:
            ValueError, RecursionError: its `raw` can't be parsed.
        """
        own: Values = {}
        raw = json_tree.parse(event.raw)
        located = self._located_in(event.data, raw)
        _note(own, located)
        short = {value: word for value, word in located if len(value) < MIN_SEARCHED_CHARACTERS}
        keys = [
            RedactionRule(steps, short[key])
            for steps in _KEYS
            if (key := _at(event.data, steps)) in short
        ]
        replacer = self._replacer(own)
        return event._replace(
            data=replacer.data(event.data, [*self._redaction.rules, *keys]),
            raw=replacer.text(raw, self._redaction.raw_rules),
            vendortype=replacer.name(event.vendortype),
            detail=replacer.detail(event.detail),
        )

    def body(self, body: bytes) -> bytes | None:
        """Return what was not understood without what is to be redacted; None if that can't be.

        Its shape is unknown, so the pointers into `raw` begin at each of its objects and arrays.
        """
        return self._body(body) if self._redaction.raw_rules else None

    def delivery(
        self, body: bytes, elements: Sequence[NormalizedEvent | NotUnderstood]
    ) -> bytes | None:
        """Return a whole delivery for a person to look at, redacted; None if that can't be.

        It can't if values may be left in it: it is no JSON, nothing points into `raw` and some of
        it was not understood, or it has more values than are looked for in texts.

        Args:
            body: of the request.
            elements: what it was understood to hold.
        """
        self.learn(elements)
        is_understood = elements and all(isinstance(each, NormalizedEvent) for each in elements)
        if not is_understood and not self._redaction.raw_rules:
            return None
        return self._body(body, max_values=MAX_SEARCHED)

    def _body(self, body: bytes, *, max_values: int | None = None) -> bytes | None:
        rules, own = self._redaction.raw_rules, Values()
        try:
            tree = json_tree.parse(body)
            located = self._located_in_body(tree)
        except (RecursionError, ValueError):
            return None
        _note(own, located)
        _note(self._values, located)
        if max_values is not None and len(self._values) > max_values:
            return None
        # One for the whole delivery looks for all of its values, if they are few enough.
        is_own = own and len(self._values) > MAX_SEARCHED
        replacer = self._replacer(own) if is_own else self._replacer_for_all()
        return replacer.text(tree, rules, rules)

    def without_values(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that have none of the values that were found so far."""
        together = _decoded("\n".join(headers.values()))
        key = len(self._values), together  # the same for most of a delivery's elements
        if key not in self._in_headers:
            self._in_headers[key] = [value for value in self._values if value in together]
        present = self._in_headers[key]
        if not present:
            return dict(headers)
        return {
            name: text for name, text in headers.items() if not _holds_any(_decoded(text), present)
        }

    def _replacer(self, searched: Values) -> Replacer:
        key = self._redaction.key
        return Replacer(searched, self._values, key, is_again=self._is_again)

    def _replacer_for_all(self) -> Replacer:
        """Return one that also looks for the values of all elements; it costs much to make."""
        count = len(self._values)
        if self._for_all is None or self._for_all[0] != count:
            self._for_all = count, self._replacer(self._values)
        return self._for_all[1]

    def _located_in(self, data: Data, raw: Any) -> Located:
        located: Located = []
        locate(data, self._redaction.rules, (), located)
        locate(raw, self._redaction.raw_rules, (), located)
        return located

    def _located_in_body(self, tree: Any) -> Located:
        rules, located = self._redaction.raw_rules, Located()
        locate(tree, rules, rules, located)
        return located


def _note(values: Values, located: Located) -> None:
    """Add what was found to values; of several words for a value, the strictest holds."""
    for value, word in located:
        for text in (value, value.strip()):
            if len(text) >= MIN_SEARCHED_CHARACTERS:
                values[text] = strictest([word, values.get(text, word)])


def _decoded(text: str) -> str:
    """Return a text as it stands, and as it reads in a URL, where a plus may be a space."""
    return f"{text}\n{unquote(text)}\n{unquote_plus(text)}"


def _holds_any(text: str, values: Iterable[str]) -> bool:
    return any(value in text for value in values)


def _at(data: Data, steps: Steps) -> str:
    fields = data.get(steps[0])
    value = fields.get(steps[1]) if type(fields) is dict else None
    return value if type(value) is str else ""
