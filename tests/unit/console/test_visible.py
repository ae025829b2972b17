import pytest

from relay.console.visible import body_text, cut, visible
from tests.support.rows import for_each_row


@for_each_row(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größer 漢字 🎉", "größer 漢字 🎉"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028end", "line\\u2028end"),
        ("lone \ud83d", "lone \\ud83d"),
        ("nul \x00", "nul \\u0000"),
    ],
)
def test_invisible_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_text_is_cut_and_says_by_how_much() -> None:
    assert cut("a" * 300, 100) == ("a" * 100, 200)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a":1}', '{\n  "a": 1\n}'),
        (b"{broken", "{broken"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_body_is_shown_as_json_if_it_is_some(body: bytes, text: str) -> None:
    assert body_text(body) == text
