"""Requests as a vendor's code sees them."""

import pytest

from relay.vendors.kit.forms import MAX_FORM_FIELDS
from relay.vendors.kit.request import Echo, Request
from tests.support.rows import for_each_row


@for_each_row(
    ("query_string", "values"),
    [
        ("", []),
        ("token", [""]),
        ("token=", [""]),
        ("token=a&token=b&Token=c", ["a", "b"]),
        ("x=1&token=a%20b+c%C3%A9", ["a b cé", "a b+cé"]),
        ("token=ab+cd/ef==", ["ab cd/ef==", "ab+cd/ef=="]),
        ("token=ab%2Bcd%2Fef%3D%3D", ["ab+cd/ef=="]),
        ("token=a;token=b", ["a;token=b"]),
        ("t%6Fken=a", ["a"]),
        ("token=%ff", ["\ufffd"]),
        ("token=a#token=b", ["a#token=b"]),
    ],
)
def test_a_query_may_give_a_name_several_values(query_string: str, values: list[str]) -> None:
    request = Request(body=b"", query_string=query_string)

    assert request.query("token") == values


def test_a_query_with_too_many_fields_is_not_looked_at() -> None:
    fields = ["a=1"] * (MAX_FORM_FIELDS - 1) + ["token=x"]

    as_many, too_many = "&".join(fields), "&".join(["a=1", *fields])

    assert Request(body=b"", query_string=as_many).query("token") == ["x"]
    assert Request(body=b"", query_string=too_many).query_fields() == []


@pytest.mark.parametrize(
    ("echo", "is_handshake"),
    [
        (Echo(token="t"), False),
        (Echo(token="t", shape="text"), True),
        (Echo(token="t", shape="string"), True),
        (Echo(token="t", shape="form"), True),
    ],
)
def test_a_body_that_is_only_a_token_is_a_handshake(echo: Echo, *, is_handshake: bool) -> None:
    assert echo.is_handshake is is_handshake
