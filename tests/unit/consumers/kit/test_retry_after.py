"""The header `Retry-After`: seconds or a date, and whatever else stands there."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.retry_after import wait_s
from tests.support.rows import for_each_row

NOW = 784_111_777.5  # Sun, 06 Nov 1994 08:49:37 GMT, and a half


@for_each_row(
    ("retry_after", "expected_s"),
    [
        ("120", 120),
        ("1", 1),
        ("0", 1),
        ("9999999999", 9_999_999_999),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 59.5),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 59.5),
        ("Sun Nov  6 08:50:37 1994", 59.5),
        ("Sun, 06 Nov 1994 09:50:37 +0100", 59.5),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 1),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 1),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("99999999999", None),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("1994-11-06T08:50:37Z", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT" + " " * 100, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    retry_after: str | None, expected_s: float | None
) -> None:
    assert wait_s(retry_after, now=NOW) == expected_s


@given(wait=st.integers(2, 10**8), now=st.integers(0, 4 * 10**9))
def test_a_date_is_as_far_away_as_it_was_meant(wait: int, now: int) -> None:
    assert wait_s(formatdate(now + wait, usegmt=True), now=now) == wait


dates = st.lists(
    st.sampled_from(["Sun", ", ", "06", " ", "Nov", "1994", "99999", "08:49:37", "GMT", "-", ":"])
    | st.text(max_size=3),
    max_size=12,
).map("".join)


@given(retry_after=dates | st.text())
def test_whatever_retry_after_says_it_is_a_time_or_nothing(retry_after: str) -> None:
    seconds = wait_s(retry_after, now=NOW)

    assert seconds is None or seconds >= 1
