"""Requests as a vendor's code sees them: their query and the forms in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.vendors.kit.request import MAX_QUERY_FIELDS, Echo, Request, form_fields


@pytest.mark.parametrize(
    ("query_string", "values"),
    [
        ("", []),
        ("token", [""]),
        ("token=", [""]),
        ("token=a&token=b&Token=c", ["a", "b"]),
        ("x=1&token=a%20b+c%C3%A9", ["a b cé"]),
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
    fields = ["a=1"] * (MAX_QUERY_FIELDS - 1) + ["token=x"]

    as_many, too_many = ("&".join(it) for it in (fields, ["a=1", *fields]))

    assert Request(body=b"", query_string=as_many).query("token") == ["x"]
    assert Request(body=b"", query_string=too_many).query_fields() == []


@given(text=st.text(st.characters()) | st.text("a=&%+;\x00", max_size=300))
def test_any_text_is_a_form_of_bounded_size(text: str) -> None:
    assert len(form_fields(text)) <= MAX_QUERY_FIELDS


@pytest.mark.parametrize(
    ("echo", "is_handshake"),
    [
        (Echo(token="t"), False),
        (Echo(token="t", shape="text"), True),
        (Echo(token="t", shape="string"), True),
        (Echo(token="t", shape="form"), True),
    ],
)
def test_a_body_that_is_but_a_token_is_a_handshake(echo: Echo, *, is_handshake: bool) -> None:
    assert echo.is_handshake is is_handshake
