"""JSON text: what is accepted, and cutting that changes no byte."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Malformed
from relay.vendors.kit import raw_json
from tests.support.rows import for_each, for_each_row


@for_each_row(
    ("text", "value"),
    [
        (b"null", None),
        (b" [1, -0.5e1]\r\n\t", [1, -5.0]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"18446744073709551616", float(2**64)),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"é\u2028"'.encode(), "é\u2028"),
        (b'"\\u0000"', "\x00"),
    ],
)
def test_json_is_parsed(text: bytes, value: Any) -> None:
    found = raw_json.parse(text)

    assert found == value
    assert type(found) is type(value)


@for_each(
    text=[
        b"",
        b" ",
        b"nul",
        b"{]",
        b"[1,]",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[1] 2",
        b"01",
        b"+1",
        b".5",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b'"\x01"',
        b'"\\x41"',
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        "[1]".encode("utf-16"),
        b"/* c */ 1",
        b"\x0b1",
    ]
)
def test_anything_else_is_not_json(text: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        raw_json.parse(text)

    assert caught.value.reason == "not_json"


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return f"{opening * depth}1{closing * depth}".encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_depth_is_allowed_up_to_the_limit(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    deepest = 200 // levels

    raw_json.parse(nested(deepest, opening, closing))

    with pytest.raises(Malformed) as caught:
        raw_json.parse(nested(deepest + 1, opening, closing))
    assert caught.value.reason == "too_deep"


def test_brackets_in_strings_and_in_a_row_are_not_deep() -> None:
    wide = json.dumps(["[{" * 300, [[]] * 300, [{}] * 300]).encode()

    assert len(raw_json.parse(wide)) == 3


@for_each_row(
    ("text", "repaired"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDE00"', rb'"\ufffd"'),
        (rb'{"a\ud83d":1}', rb'{"a\ufffd":1}'),
        (rb'"\ude00\ud83d"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\u0041"', rb'"\ufffd\u0041"'),
        (rb'"\ud83d\\ude00"', rb'"\ufffd\\ude00"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (b'"\xed\xa0\xbd."', '"\ufffd."'.encode()),
        (b'"\xed\xb8\x80"', '"\ufffd"'.encode()),
    ],
)
def test_each_lone_surrogate_is_replaced(text: bytes, repaired: bytes) -> None:
    assert raw_json.repair(text) == repaired
    raw_json.parse(repaired)


@for_each(
    text=[
        b"",
        rb'"\ud83d\ude00"',
        rb'"\\ud83d"',
        rb'"\\\\ud83d"',
        rb'"\ud8"',
        '"\U0001f600\ufffd\ud7ff"'.encode(),
        b'"\xed\xa0\xbd\xed\xb8\x80"',
        b'"\xff"',
    ]
)
def test_nothing_else_is_repaired(text: bytes) -> None:
    assert raw_json.repair(text) == text


@given(st.text(st.characters(categories=["Cs"]) | st.sampled_from('\\"u\U0001f600a'), max_size=20))
def test_whatever_was_cut_is_json_once_repaired(text: str) -> None:
    """Python pairs surrogates, too, but leaves alone what has no other half."""
    written = json.dumps(text).encode()

    repaired = raw_json.parse(raw_json.repair(written))

    read = json.loads(written)
    assert repaired == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in read)


@for_each_row(
    ("body", "rest"),
    [
        (b"\xef\xbb\xbf{}", b"{}"),
        (b"\xef\xbb\xbf {}\r\n", b"{}"),
        (b"{}", b"{}"),
        (b"\xef\xbb{}", b"\xef\xbb{}"),
        (b"\x0b{}\x0c", b"\x0b{}\x0c"),  # white space to Python, not to JSON
        (b" \t", b""),
    ],
)
def test_a_byte_order_mark_and_white_space_are_taken_off(body: bytes, rest: bytes) -> None:
    assert raw_json.strip_bom(body) == rest


@for_each_row(
    ("text", "members"),
    [
        ("{}", []),
        (" { } ", []),
        ('{"a":1}', [("a", "1")]),
        ('{ "a" :\n[ 1 , 2 ] , "a":{"}":"]"}\t}', [("a", "[ 1 , 2 ]"), ("a", '{"}":"]"}')]),
        (r'{"\u0061":"\u0061\"","":null}', [("a", r'"\u0061\""'), ("", "null")]),
        (
            '{"a":12345678901234567890123,"b":1.10,"c":-0.0}',
            [("a", "12345678901234567890123"), ("b", "1.10"), ("c", "-0.0")],
        ),
    ],
)
def test_an_object_is_cut_into_its_members(text: str, members: list[tuple[str, str]]) -> None:
    assert raw_json.split_object(text) == members


def test_an_object_with_too_many_members_is_not_cut() -> None:
    most = ",".join(['"":0'] * raw_json.MAX_MEMBERS)

    assert len(raw_json.split_object(f"{{{most}}}")) == raw_json.MAX_MEMBERS
    with pytest.raises(Malformed, match="too_many_members"):
        raw_json.split_object(f'{{{most},"":0}}')


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (b'{"a":1,"token":"t","b":1.10}', b'{"a":1,"b":1.10}'),
        (b'{ "token" : [ "t" ] , "a" :\n{ "token" : 1 } }', b'{"a":{ "token" : 1 }}'),
        (rb'{"\u0074oken":1,"a":2,"token":3,"a":4}', b'{"a":2,"a":4}'),
        (rb'{"token":1,"\u00e9\ud83d":NaN}', rb'{"\u00e9\ud83d":NaN}'),
        (b'{"token":1}', b"{}"),
    ],
)
def test_members_are_taken_out_and_the_others_stay(text: bytes, rest: bytes) -> None:
    assert raw_json.without_members(text, ["token"]) == rest


@pytest.mark.parametrize("text", [b'{ "a" : 1 }', b"{}", b'{"token":1}'])
def test_without_names_nothing_is_taken_out(text: bytes) -> None:
    assert raw_json.without_members(text, []) == text


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("[]", []),
        (" [\n] ", []),
        ("[1]", ["1"]),
        ('[ true,[ 1 , 2 ] ,"],", {"a":[]}\r\n]', ["true", "[ 1 , 2 ]", '"],"', '{"a":[]}']),
        ("[1.10, 12345678901234567890123]", ["1.10", "12345678901234567890123"]),
    ],
)
def test_an_array_is_cut_into_its_elements(text: str, elements: list[str]) -> None:
    assert raw_json.split_array(text) == elements


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values=st.lists(values), space=st.text(" \t\r\n", max_size=2), is_ascii=st.booleans())
def test_what_was_cut_out_of_an_array_says_what_was_put_in(
    *, values: list[Any], space: str, is_ascii: bool, exactly: Callable[[str], Any]
) -> None:
    parts = [json.dumps(value, ensure_ascii=is_ascii) for value in values]
    text = space + "[" + space + f"{space},{space}".join(parts) + space + "]" + space

    found = raw_json.split_array(text)

    assert found == parts
    assert [exactly(part) for part in found] == list(exactly(text))


@given(pairs=st.lists(st.tuples(st.text(), values)), space=st.text(" \t\r\n", max_size=2))
def test_what_was_cut_out_of_an_object_says_what_was_put_in(
    pairs: list[tuple[str, Any]], space: str
) -> None:
    parts = [(name, json.dumps(value)) for name, value in pairs]
    inner = f"{space},{space}".join(f"{json.dumps(n)}{space}:{space}{part}" for n, part in parts)
    text = "{" + space + inner + space + "}"

    assert raw_json.split_object(text) == parts
