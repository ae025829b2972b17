"""Markup taken out of a text, and what only looks like it."""

from relay.vendors.kit.markup import without_markup
from tests.support.rows import for_each, for_each_row


@for_each_row(
    ("text", "seen"),
    [
        ("<b>bold</b> and <i>slanted</i>", "bold and slanted"),
        ('<link type="url" value="https://a.example/?b=1">here</link>', "here"),
        ("a<br>b<br/>c<br />d", "abcd"),
        ("<a href='x' target=_blank>x</a>", "x"),
        ("<b><i>both</i></b>", "both"),
        ('<link value="https://a.example/?b=1>0">here</link>', "here"),
        ("<a title='1 > 0' href=\"x\">here</a> > there", "here > there"),
        ("<a title=it's>Bob's</a>", "Bob's"),
        ('<a title="open>here</a> "and" there', 'here "and" there'),
        ('<emoji name="smile"/>', ""),
        ("<h1 >x</h1 >", "x"),
        ("<x-button\n  kind='a'>go</x-button>", "go"),
    ],
)
def test_tags_are_taken_out(text: str, seen: str) -> None:
    assert without_markup(text) == seen


@for_each(
    text=[
        "1 < 2 i 3 > 2",
        "a<1 and 2>b",
        "<3 you",
        "if x <y and z> w",
        "-> <- <> </> < b>",
        "<b",
        "b>",
        "<https://a.example>",
        "AT&T, ?a=1&copy=2&lt, & so on; &;",
        "&#x;&#;&#12345678;",
        "",
    ]
)
def test_what_is_no_markup_stays(text: str) -> None:
    assert without_markup(text) == text


@for_each_row(
    ("text", "seen"),
    [
        ("a &amp; b &lt; c &gt; d", "a & b < c > d"),
        ("&quot;hi&quot; &#39;yo&#x27; &nbsp;", "\"hi\" 'yo' \xa0"),
        ("&lt;b&gt;no tag&lt;/b&gt;", "<b>no tag</b>"),
        ("&amp;lt;", "&lt;"),
        ("&#0;&#xD800;&#x110000;", "\ufffd\ufffd\ufffd"),
        ("&nosuchname;", "&nosuchname;"),
        ("&#54620;&#xAD6D;", "\ud55c\uad6d"),
    ],
)
def test_entities_are_decoded_once(text: str, seen: str) -> None:
    assert without_markup(text) == seen
