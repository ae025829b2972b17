"""Puts something else in the place of values, wherever in a tree they stand. Pure."""

import hmac
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

from relay.events import json_tree, topology
from relay.events.event import Data
from relay.events.json_tree import Literal, Members
from relay.events.redaction_rules import RedactionRule, Values, Word, advanced, word_of

MASK = "***"
MAX_SEARCHED = 100
"""Values that are also looked for within longer texts: each costs a pass over them."""

_OWN_WORDS = {"type", "kind", "mode", "through", "status"}
"""Members of `data` that have the relay's or the vendor's words, and no person's."""
_PLAIN_WORD = re.compile(r"[A-Za-z_]+")
_PSEUDONYM = re.compile(r"[0-9a-f]{64}")
_REDACTED_DETAIL = "redacted"
_GONE = object()


class Replacer:
    """Replaces values.

    Args:
        searched: looked for within longer texts, too; at most MAX_SEARCHED of them.
        values: looked for as they are.
        key: of the pseudonyms.
        is_again: see Redactor.
    """

    def __init__(self, searched: Values, values: Values, key: bytes, *, is_again: bool) -> None:
        self._values = values
        self._key = key
        self._is_again = is_again
        self._spelled = {
            spelling: text
            for text in list(searched)[:MAX_SEARCHED]
            for spelling in _spellings(text)
        }
        self._encoded = {each: json_tree.dump(each)[1:-1] for each in self._spelled}
        self._in_texts: re.Pattern[str] | None = None
        self._in_names = _any_of([s for s in self._spelled if not _PLAIN_WORD.fullmatch(s)])

    def data(self, data: Data, rules: Sequence[RedactionRule]) -> Data:
        """Return `data` without what the rules lead to, nor these values wherever they stand."""
        found: Data = self._redacted(data, rules, (), orjson.dumps)[0]
        return found

    def text(
        self, tree: Any, rules: Sequence[RedactionRule], everywhere: Sequence[RedactionRule] = ()
    ) -> bytes:
        """Return the text of a tree likewise."""
        return self._redacted(tree, rules, everywhere, json_tree.dump)[1]

    def _redacted(
        self,
        tree: Any,
        rules: Sequence[RedactionRule],
        everywhere: Sequence[RedactionRule],
        dump: Callable[[Any], bytes],
    ) -> tuple[Any, bytes]:
        """Return a tree without them, and its text."""
        self._in_texts = None
        tree = self._whole(tree, rules, everywhere)
        text = dump(tree)
        if found := [each for each, encoded in self._encoded.items() if encoded in text]:
            self._in_texts = _any_of(found)
            tree = self._whole(tree, (), ())
            text = dump(tree)
        return tree, text

    def _whole(
        self,
        tree: Any,
        rules: Sequence[RedactionRule],
        everywhere: Sequence[RedactionRule],
    ) -> Any:
        """Return a tree rewritten; of one that is gone, what is empty in its place."""
        new = self._rewritten(tree, rules, everywhere)
        if new is not _GONE:
            return new
        return {} if type(tree) is dict else None

    def name(self, text: str) -> str:
        """Return a word of the sender's, such as a member's name, without any of the values.

        A value that is a plain word stays: it is more likely to be the sender's than a person's.
        """
        return self._in_names.sub(self._replacement, text) if self._in_names else text

    def detail(self, detail: str) -> str:
        """Return the last part of a routing key likewise."""
        slug = topology.word(detail)
        for value in self._spelled:
            if not _PLAIN_WORD.fullmatch(value) and topology.word(value) in slug:
                return _REDACTED_DETAIL
        return detail

    def _rewritten(
        self, node: Any, rules: Sequence[RedactionRule], everywhere: Sequence[RedactionRule]
    ) -> Any:
        """Return a node, or _GONE."""
        word = word_of(rules) if rules else None
        if word == "remove":
            return _GONE
        if word:
            return self._all(node, word)
        match node:
            case Members():
                members = [
                    (
                        self.name(name),
                        self._rewritten(child, advanced(rules, name, everywhere), everywhere),
                    )
                    for name, child in node
                ]
                return Members([pair for pair in members if pair[1] is not _GONE])
            case dict():
                return self._fields(node, rules)
            case list():
                elements = [
                    self._rewritten(child, advanced(rules, str(index), everywhere), everywhere)
                    for index, child in enumerate(node)
                ]
                return [element for element in elements if element is not _GONE]
            case _:
                return self._scalar(node)

    def _fields(self, fields: Data, rules: Sequence[RedactionRule]) -> Any:
        """Return an object of an event's `data`; none of them is empty."""
        kept: Data = {}
        for name, child in fields.items():
            rest = advanced(rules, name, ())
            if rest or name not in _OWN_WORDS:
                new = self._rewritten(child, rest, ())
                if new is not _GONE and (new or not child or not isinstance(new, dict | list)):
                    kept[self.name(name)] = new
            else:
                kept[name] = child
        return kept if kept or not fields else _GONE

    def _all(self, node: Any, word: Word) -> Any:
        """Return a tree with each string, number and truth value replaced."""
        match node:
            case Members():
                return Members([(self.name(name), self._all(child, word)) for name, child in node])
            case dict():
                return {self.name(name): self._all(child, word) for name, child in node.items()}
            case list():
                return [self._all(child, word) for child in node]
            case None:
                return None
            case _:
                return self._replaced(str(node), word)

    def _scalar(self, node: Any) -> Any:
        if node is None or isinstance(node, bool):
            return node
        text = str(node)
        word = self._values.get(text) or self._values.get(text.strip())
        if word:
            return _GONE if word == "remove" else self._replaced(text, word)
        if self._in_texts and isinstance(node, str) and not isinstance(node, Literal):
            return self._in_texts.sub(self._replacement, node)
        return node

    def _replacement(self, match: re.Match[str]) -> str:
        text = self._spelled[match[0]]
        return self._replaced(text, self._values.get(text, "mask"))

    def _replaced(self, text: str, word: Word) -> str:
        """Return what stands in the place of a value, or of what would be removed amid others."""
        text = text.strip()
        if word != "pseudonym":
            return MASK
        if self._is_again and _PSEUDONYM.fullmatch(text):
            return text
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256").hex()


def _spellings(text: str) -> set[str]:
    """Return a value as it may stand in a longer text: as it is, in a URL, in JSON in a string."""
    encoded = text.encode(errors="surrogatepass")
    return {
        text,
        quote(encoded, safe=""),
        quote(encoded),
        quote_plus(encoded),
        json.dumps(text)[1:-1],
    }


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds the longest of the texts, wherever one begins."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
