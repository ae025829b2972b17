"""Answers to a vendor's questions: no vendor code can break out of a header."""

import pytest

from relay.vendors.kit.request import Answer
from tests.support.rows import for_each


def test_an_answer_is_plain_text_unless_it_says_otherwise() -> None:
    answer = Answer(body=b"abc")

    assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")


@for_each(status=[100, 204, 301, 304, 400, 500, 0])
def test_an_answer_is_a_success_with_a_body(status: int) -> None:
    with pytest.raises(ValueError, match="answer"):
        Answer(status=status)


@for_each(value=["", "a\r\nb", "a\nb", "a\0", "é", " a", "a ", "\x7f", "a\tb"])
def test_no_header_breaks_out_of_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="X-Odd"):
        Answer(headers=(("X-Odd", value),))
    with pytest.raises(ValueError, match="content-type"):
        Answer(content_type=value)


@for_each(name=["", "a b", "a:b", "a\r\n", "é", "Content-Length", "connection"])
def test_no_header_has_a_name_that_is_none_or_frames_the_answer(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        Answer(headers=((name, "x"),))


def test_an_answer_is_short() -> None:
    assert Answer(body=b"a" * 4096).body
    with pytest.raises(ValueError, match="long"):
        Answer(body=b"a" * 4097)
