"""What a source's `redact` says, and what its pointers lead to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args
from typing import Literal as OneOf

from relay.events.json_pointers import EVERY, Steps, parse_pointer
from relay.events.json_tree import Members

Word = OneOf["remove", "mask", "pseudonym"]

MAX_POINTERS = 100
MIN_KEY_CHARACTERS = 16
_WORDS: tuple[Word, ...] = get_args(Word)  # the strictest first

Values = dict[str, Word]
Located = list[tuple[str, Word]]


class RedactionRule(NamedTuple):
    """What is done to the values that the steps lead to."""

    steps: Steps
    word: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """The setting `redact` of a source.

    Args:
        rules: into the `data` of events.
        raw_rules: into their `raw`.
        key: of the pseudonyms.
    """

    rules: tuple[RedactionRule, ...]
    raw_rules: tuple[RedactionRule, ...]
    key: bytes = field(default=b"", repr=False)


def redaction_of(pointers: Mapping[str, str], key: str | None) -> Redaction:
    """Return what a source's `redact` and `redaction_key` say.

    Raises:
        ValueError: some of it is wrong; each pointer is named.
    """
    rules, problems = [], []
    for pointer, word in pointers.items():
        try:
            rules.append(_rule(pointer, word))
        except ValueError as error:
            problems.append(str(error))
    if len(pointers) > MAX_POINTERS:
        problems.append(f"there are more than {MAX_POINTERS} pointers")
    if problems:
        raise ValueError("; ".join(problems))
    return Redaction(
        rules=tuple([rule for rule in rules if rule.steps[0] != "raw"]),
        raw_rules=tuple(
            [RedactionRule(rule.steps[1:], rule.word) for rule in rules if rule.steps[0] == "raw"]
        ),
        key=(key or "").encode(),
    )


def _rule(pointer: str, word: str) -> RedactionRule:
    steps = parse_pointer(pointer)
    if word not in _WORDS:
        raise ValueError(f"{pointer} = {word!r} is none of {', '.join(_WORDS)}")
    if steps in {("raw",), (EVERY,), ("",)}:
        raise ValueError(
            f"{pointer!r} is no single thing; name what is in it, such as /raw/{EVERY}"
        )
    return RedactionRule(steps, word)


def strictest(words: Sequence[Word]) -> Word:
    """Return the word that holds where there are several for a value."""
    return words[0] if len(words) == 1 else min(words, key=_WORDS.index)


def locate(
    node: Any, rules: Sequence[RedactionRule], everywhere: Sequence[RedactionRule], located: Located
) -> None:
    """Note the text of each value that the rules lead to, with what is to be done to it.

    Args:
        node: a tree, or the `data` of an event.
        rules: that begin here.
        everywhere: those that begin at each child, too.
        located: where to note it.
    """
    if not rules:
        return
    if word := word_of(rules):
        _collect(node, word, located)
        return
    for step, child in _children(node):
        locate(child, advanced(rules, step, everywhere), everywhere, located)


def _collect(node: Any, word: Word, located: Located) -> None:
    """Note each string and number of a tree."""
    if isinstance(node, str):
        located.append((node, word))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        located.append((str(node), word))
    for _, child in _children(node):
        _collect(child, word, located)


def word_of(rules: Sequence[RedactionRule]) -> Word | None:
    """Return what is to be done to what the rules lead to, if they end here."""
    words = [rule.word for rule in rules if not rule.steps]
    return strictest(words) if words else None


def advanced(
    rules: Sequence[RedactionRule], step: str, everywhere: Sequence[RedactionRule]
) -> Sequence[RedactionRule]:
    """Return the rules for a child: what goes on from here, and what begins everywhere."""
    if not rules:
        return ()
    further = [
        RedactionRule(rule.steps[1:], rule.word)
        for rule in rules
        if rule.steps and rule.steps[0] in (step, EVERY)
    ]
    return [*further, *everywhere]


def _children(node: Any) -> Iterable[tuple[str, Any]]:
    match node:
        case Members():
            return node
        case dict():
            return node.items()
        case list():
            return [(str(index), element) for index, element in enumerate(node)]
    return ()
