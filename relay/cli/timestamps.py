"""A time as a person writes it on the command line: how long ago, or a date."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGO = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _Moment(click.ParamType[datetime]):
    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return moment_of(value, now=datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


MOMENT = _Moment()
"""The type of an option that takes a time; its value is an aware datetime in UTC."""


def moment_of(text: str, *, now: datetime) -> datetime:
    """Return the time that text stands for.

    Args:
        text: how long ago, such as `90s`, `30m`, `2h` or `7d`; or an ISO 8601 date, with or without
            a time, in UTC unless it has an offset.
        now: the current time.

    Raises:
        ValueError: it is neither, or beyond the years 1 to 9999.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is no moment: 30m, 2h or 7d ago, or a date such as 2026-01-31T12:00Z."
        ) from error
