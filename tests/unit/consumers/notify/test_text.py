"""What strangers wrote is shown, and does nothing else; what is too much is counted."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.notify.text import digest, quoted
from tests.support.rows import for_each_row


@for_each_row(
    ("said", "shown"),
    [
        ("Hiiiii", "Hiiiii"),
        ("<!channel> all hands", "&lt;!channel&gt; all hands"),
        ("<https://evil.example|your bank>", "&lt;https://evil.example|your bank&gt;"),
        ("AT&T &lt;", "AT&amp;T &amp;lt;"),
        ("@all and @here", "@\u200ball and @\u200bhere"),
        ("ann@example.com", "ann@example.com"),
        ("[your bank](https://evil.example)", "[your bank]\u200b(https://evil.example)"),
        ("one\n\ntwo\tthree\x00\x1b[31m\x85", "one two three [31m"),
        ("  \n ", ""),
        ("\u202etxt.exe", "txt.exe"),
        ("a" * 200, "a" * 200),
        ("a" * 201, "a" * 199 + "…"),
        (" " * 5000 + "a", "…"),
        ("&" * 201, "&amp;" * 199 + "…"),
    ],
)
def test_a_value_is_shown_on_one_line_without_power(said: str, shown: str) -> None:
    assert quoted(said) == shown


@given(st.text())
def test_no_value_can_mention_anyone_or_break_the_line(said: str) -> None:
    shown = quoted(said)

    assert not set(shown) & set("<>\n\r\x00")
    assert "](" not in shown
    assert len(shown) <= 5 * 200 + 200


def test_a_few_texts_are_shown_one_below_the_other() -> None:
    assert digest(["one"]) == ("one", 1)
    assert digest(["one", "two"]) == ("one\ntwo", 2)


def test_beyond_twenty_texts_the_rest_is_counted() -> None:
    message, shown = digest([f"chat {number}" for number in range(57)])

    lines = message.splitlines()
    assert shown == 20
    assert lines[:2] == ["chat 0", "chat 1"]
    assert lines[19:] == ["chat 19", "… and 37 more"]


def test_beyond_three_thousand_characters_the_rest_is_counted() -> None:
    message, shown = digest(["a" * 999, "b" * 999, "c" * 1000, "d"])

    assert shown == 3
    assert message == "\n".join(["a" * 999, "b" * 999, "c" * 1000, "… and 1 more"])


def test_a_single_long_text_is_cut() -> None:
    message, shown = digest(["a" * 5000, "b"])

    assert shown == 1
    assert message == "a" * 3000 + "\n… and 1 more"


@given(st.lists(st.text(min_size=1, max_size=4000), min_size=1, max_size=60))
def test_every_text_is_shown_or_counted_within_the_limit(texts: list[str]) -> None:
    message, shown = digest(texts)

    assert len(message) <= 3000 + len("\n… and 59 more")
    assert 1 <= shown <= len(texts)
    if shown < len(texts):
        assert message.endswith(f"\n… and {len(texts) - shown} more")
