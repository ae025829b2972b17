"""JSON.stringify(JSON.parse(text)). The table was made with node v20.20.2, not by hand."""

import pytest

from relay.vendors.kit.javascript import number, restringify, signed_readings
from tests.support.rows import for_each, for_each_row

NUMBERS = [
    ("1.0", "1"),
    ("-0", "0"),
    ("-0.0", "0"),
    ("0e5", "0"),
    ("1e0", "1"),
    ("1E+2", "100"),
    ("1.10", "1.1"),
    ("-1.5", "-1.5"),
    ("123.456e2", "12345.6"),
    ("4294967296", "4294967296"),
    ("0.1", "0.1"),
    ("0.30000000000000004", "0.30000000000000004"),
    ("1e20", "100000000000000000000"),
    ("123456789012345680000", "123456789012345680000"),
    ("1e21", "1e+21"),
    ("999999999999999999999", "1e+21"),
    ("1234567890123456789012", "1.2345678901234568e+21"),
    ("9007199254740993", "9007199254740992"),
    ("12345678901234567890", "12345678901234567000"),
    ("1e23", "1e+23"),
    ("1.5e300", "1.5e+300"),
    ("0.000001", "0.000001"),
    ("3.0e-6", "0.000003"),
    ("0.00000123", "0.00000123"),
    ("0.0000001", "1e-7"),
    ("0.000000123", "1.23e-7"),
    ("-1.5E-10", "-1.5e-10"),
    ("5e-324", "5e-324"),
    ("2.2250738585072014e-308", "2.2250738585072014e-308"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("1e400", "null"),
    ("-1e400", "null"),
]
STRINGS = [
    (r'"\u00e9"', '"é"'),
    (r'"\/"', '"/"'),
    (r'"\u0022\u005c"', r'"\"\\"'),
    (r'"\u001f\b\f\n\r\t\u000b\u0000"', r'"\u001f\b\f\n\r\t\u000b\u0000"'),
    (r'"\u007f"', '"\x7f"'),
    (r'"\u2028\u2029"', '"\u2028\u2029"'),
    (r'"<\u003c/script>"', '"<</script>"'),
    (r'"\ufeff\uffff"', '"\ufeff\uffff"'),
    (r'"\uD83D\uDE00"', '"\U0001f600"'),
    (r'"\ud83d"', r'"\ud83d"'),
    (r'"\uDE00"', r'"\ude00"'),
    (r'"\ude00\ud83d"', r'"\ude00\ud83d"'),
]
OBJECTS = [
    ('{ "b" : 1 ,\t"a":\n2 }', '{"b":1,"a":2}'),
    ('{"10":1,"9":2,"a":3,"1":4}', '{"1":4,"9":2,"10":1,"a":3}'),
    ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
    ('{"01":1,"1":2,"0":3}', '{"0":3,"1":2,"01":1}'),
    (
        '{"b":0,"4294967294":1,"4294967295":2,"7":3}',
        '{"7":3,"4294967294":1,"b":0,"4294967295":2}',
    ),
    ('{"-1":1,"1":2,"1.5":3}', '{"1":2,"-1":1,"1.5":3}'),
    ('{"a":1,"2":2,"2":3,"1":{}}', '{"1":{},"2":3,"a":1}'),
    ('{"__proto__":1,"a":2}', '{"__proto__":1,"a":2}'),
    (r'{"\u0031":1,"0":2}', '{"0":2,"1":1}'),
    ('{"99999999999":1,"5":2}', '{"5":2,"99999999999":1}'),
    (r'{"\u0660":1,"0":2}', '{"0":2,"\u0660":1}'),
    ('{"length":0,"0":1,"":2,"toJSON":3}', '{"0":1,"length":0,"":2,"toJSON":3}'),
]
ARRAYS = [
    (" [ 1 , [ ] , { } , null , true , false ] ", "[1,[],{},null,true,false]"),
    ('[[1.0,[2.50]],{"x":[{"3":1,"1":2}]}]', '[[1,[2.5]],{"x":[{"1":2,"3":1}]}]'),
]


@for_each_row(("text", "stringified"), NUMBERS + STRINGS + OBJECTS + ARRAYS)
def test_a_text_comes_out_as_javascript_writes_it(text: str, stringified: str) -> None:
    found = restringify(text)

    assert found == stringified
    assert restringify(found) == found


@for_each(text=["NaN", "[Infinity]", '{"a":-Infinity}', "", "{", "'a'", "[1,]"])
def test_what_javascript_would_not_parse_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        restringify(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_json_has_no_word_for_is_null(value: float) -> None:
    assert number(value) == "null"


@for_each_row(
    ("body", "readings"),
    [
        (b'\xef\xbb\xbf{"b": 1.0, "a": "\\u00e9"}', [b'{"b":1,"a":"\xc3\xa9"}']),
        (b" [1, 2] ", [b"[1,2]"]),
        (b"a=1&b=2", []),
        (b"\xff", []),
        (b"[" * 100_000, []),
        (b'"' + b"x" * 512 * 1024 + b'"', []),
        (b"", []),
    ],
)
def test_what_may_be_signed_is_the_bytes_and_what_javascript_makes_of_them(
    body: bytes, readings: list[bytes]
) -> None:
    assert list(signed_readings(body)) == [body, *readings]
