"""Tables of many rows, checked in one test each."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

MAX_VALUE_CHARACTERS = 200
"""Of a value in the name of a row that failed."""


def for_each(**values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test with each combination of values; the failure names all rows that failed.

    For tables of rows that take microseconds: pytest needs more time per test than that, on four
    workers 2 ms. Otherwise it is as `pytest.mark.parametrize`, but the rows share the fixtures.
    """
    return for_each_row((), [()], **values)


def for_each_row(
    names: Sequence[str], table: Iterable[Sequence[Any]], **values: Iterable[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test as `for_each` does, with each row of a table whose columns have names."""
    combinations = [*itertools.product(*values.values())]
    columns = [*names, *values]
    rows = [
        dict(zip(columns, [*row, *combination], strict=True))
        for row, combination in itertools.product(table, combinations)
    ]
    if not rows:
        raise ValueError("The table has no row, so the test would check nothing.")

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def over_all_rows(**fixtures: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for row in rows:
                try:
                    test(**fixtures, **row)
                except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  all are shown
                    failed.append((name_of(row), error))
            if failed:
                lines = [f"{name}: {error!r}" for name, error in failed]
                counted = f"{len(failed)} of {len(rows)} rows failed"
                raise AssertionError("\n".join([counted, *lines])) from failed[0][1]

        signature = inspect.signature(test)
        others = [each for name, each in signature.parameters.items() if name not in columns]
        over_all_rows.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return over_all_rows

    return decorate


def name_of(row: dict[str, Any]) -> str:
    """Return what tells a row apart."""
    return ", ".join(f"{name}={repr(value)[:MAX_VALUE_CHARACTERS]}" for name, value in row.items())
