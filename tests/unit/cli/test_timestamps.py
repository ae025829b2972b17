"""Moments on the command line."""

from datetime import UTC, datetime

import pytest

from relay.cli.timestamps import moment_of
from tests.support.rows import for_each, for_each_row

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@for_each_row(
    ("text", "moment"),
    [
        ("0s", "2026-03-01T12:30:00"),
        ("90s", "2026-03-01T12:28:30"),
        ("30m", "2026-03-01T12:00:00"),
        ("2h", "2026-03-01T10:30:00"),
        ("7d", "2026-02-22T12:30:00"),
        ("2026-01-31", "2026-01-31T00:00:00"),
        ("2026-01-31T12:00", "2026-01-31T12:00:00"),
        ("2026-01-31 12:00:01.5", "2026-01-31T12:00:01.500000"),
        ("2026-01-31T12:00Z", "2026-01-31T12:00:00"),
        ("2026-01-31T12:00+02:00", "2026-01-31T10:00:00"),
    ],
)
def test_a_moment_is_how_long_ago_or_a_date(text: str, moment: str) -> None:
    assert moment_of(text, now=NOW).isoformat() == f"{moment}+00:00"


@for_each(
    text=[
        *("", "yesterday", "2", "h", "-2h", "2.5h", "2 h", "2h30m", "1y", "٣h", "2H"),
        *("999999999d", "2026-02-30", "31.01.2026", "0001-01-01T00:00+01:00"),
    ]
)
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is no moment: 30m, 2h or 7d ago, or a date such as"):
        moment_of(text, now=NOW)
