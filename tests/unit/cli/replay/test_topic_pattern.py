"""Which routing keys a pattern stands for; a broker test asks RabbitMQ about the same ones."""

import time

from hypothesis import given
from hypothesis import strategies as st

from relay.cli.replay.topic_pattern import matcher
from tests.support.rows import for_each_row

WORDS = st.sampled_from(["a", "b", ""])
KEYS = st.lists(WORDS, max_size=6).map(".".join)
PATTERNS = st.lists(WORDS | st.sampled_from("*#"), max_size=6).map(".".join)


@for_each_row(
    ("pattern", "matching", "others"),
    [
        ("#", ["", "a", "a.b", ".", "a..b"], []),
        ("*", ["a"], ["", "a.b", "."]),
        ("", [""], ["a", "."]),
        ("swiftsell.#", ["swiftsell", "swiftsell.a", "swiftsell.a.b"], ["swiftsel", "x.swiftsell"]),
        ("*.message.#", ["a.message", "a.message.b.c"], ["message", "a.b.message"]),
        ("*.conversation.closed", ["a.conversation.closed"], ["a.conversation.closed.b"]),
        ("#.form_response", ["form_response", "a.b.form_response"], ["a.form_response.b"]),
        ("a.#.b", ["a.b", "a.x.b", "a.x.y.b", "a.b.b"], ["a", "b", "a.bb", "a.b.c"]),
        ("a.*.b", ["a.x.b", "a..b"], ["a.b", "a.x.y.b"]),
        ("#.#", ["", "a", "a.b"], []),
        ("#.*", ["a", "a.b"], [""]),
        ("a*.b#", ["a*.b#"], ["ax.b", "a.b"]),
        ("a.b", ["a.b"], ["A.b", "a+b", "axb"]),
    ],
)
def test_a_pattern_matches_as_it_would_bind(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    matches = matcher(pattern)

    assert [key for key in [*matching, *others] if matches(key)] == matching


def is_match(pattern: list[str], key: list[str]) -> bool:
    """The definition, word by word."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return is_match(pattern[1:], key) or (bool(key) and is_match(pattern, key[1:]))
    return bool(key) and pattern[0] in ("*", key[0]) and is_match(pattern[1:], key[1:])


@given(pattern=PATTERNS, key=KEYS)
def test_any_pattern_matches_what_its_definition_says(pattern: str, key: str) -> None:
    expected = is_match(
        pattern.split(".") if pattern else [],
        key.split(".") if key else [],
    )

    assert matcher(pattern)(key) is expected


def test_no_pattern_takes_long() -> None:
    began_at = time.process_time()

    assert not matcher("#." * 120 + "x")("a." * 120 + "a")

    assert time.process_time() - began_at < 5
