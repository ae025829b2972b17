"""Notations of time, and RFC 3339 out of each."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import timestamps
from tests.support.rows import for_each_row

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2023, 9, 1, 14, 13, 45, 503552, UTC), "2023-09-01T14:13:45.503552Z"),
        (datetime(2023, 9, 1, 14, 13, 45, tzinfo=UTC), "2023-09-01T14:13:45Z"),
        (
            datetime(2023, 9, 1, 1, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2023-08-31T19:30:00Z",
        ),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_moment_is_written_in_utc(moment: datetime, text: str) -> None:
    assert timestamps.rfc3339(moment) == text


@for_each_row(
    ("value", "text"),
    [
        ("2023-09-01 14:13:45.503552", "2023-09-01T14:13:45.503552Z"),
        ("2023-09-01 14:13:45", "2023-09-01T14:13:45Z"),
        ("2023-09-01T14:13:45Z", "2023-09-01T14:13:45Z"),
        ("2023-09-01T14:13:45.5+00:00", "2023-09-01T14:13:45.500000Z"),
        ("2023-09-01T00:13:45-01:00", "2023-09-01T01:13:45Z"),
        ("2023-09-01", "2023-09-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2023-02-30 00:00:00", None),
        ("2023-09-01 25:00:00", None),
        ("Wed Mar 03 2021 10:19:49 GMT+0000", None),
        ("1693577625", None),
        ("now", None),
        ("", None),
        ("2023-09-01 14:13:45" + " " * 30, None),
        ("\ud800", None),
        (None, None),
        (20230901, None),
        (["2023-09-01"], None),
    ],
)
def test_text_is_utc_unless_it_carries_an_offset(value: Any, text: str | None) -> None:
    assert timestamps.from_utc_text(value) == text


@for_each_row(
    ("value", "text"),
    [
        ("1775220730", "2026-04-03T12:52:10Z"),
        (1775220730, "2026-04-03T12:52:10Z"),
        ("0", "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        ("253402300800", None),
        (10**18, None),
        (-(10**18), None),
        (10**40, None),
        ("9" * 40, None),
        ("9" * 5000, None),
        ("17.5", None),
        ("-1", None),
        ("\u0667", None),
        ("", None),
        (" 1", None),
        (17.5, None),
        (True, None),
        (None, None),
    ],
)
def test_seconds_are_a_number_or_digits(value: Any, text: str | None) -> None:
    assert timestamps.from_epoch_s(value) == text


@for_each_row(
    ("value", "text"),
    [
        (1600158433443, "2020-09-15T08:27:13.443000Z"),
        (1600158433000, "2020-09-15T08:27:13Z"),
        (0, "1970-01-01T00:00:00Z"),
        (10**18, None),
        (10**30, None),
        ("1600158433443", None),
        (1600158433443.0, None),
        (False, None),
        (None, None),
    ],
)
def test_milliseconds_are_a_whole_number(value: Any, text: str | None) -> None:
    assert timestamps.from_epoch_ms(value) == text


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary()
)
nearly_dates = st.from_regex(
    r"\A\d{4}-?(\d\d|W\d\d)-?\d{1,2}[ T]\d\d:?\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d(:\d\d)?)?\Z"
)


@given(value=anything | nearly_dates)
def test_a_clock_gives_rfc_3339_or_nothing(value: Any) -> None:
    clocks_ = (timestamps.from_utc_text, timestamps.from_epoch_s, timestamps.from_epoch_ms)

    for text in [read(value) for read in clocks_]:
        assert text is None or RFC_3339.fullmatch(text)


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_a_moment_comes_back_from_its_text(moment: datetime) -> None:
    text = timestamps.rfc3339(moment)

    assert RFC_3339.fullmatch(text)
    assert timestamps.from_utc_text(text) == text
    assert datetime.fromisoformat(text) == moment
