"""Values are frozen, slotted and made by keyword, wherever they are."""

import dataclasses
import importlib
from typing import Any

import pytest

MODULES = ["event", "request", "topology", "envelope", "delivery"]
VALUES = [
    value
    for name in MODULES
    for module in [importlib.import_module(f"relay.{name}")]
    for value in vars(module).values()
    if dataclasses.is_dataclass(value) and value.__module__ == module.__name__
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_never_changes_and_says_what_its_parts_are(value: Any) -> None:
    fields = dataclasses.fields(value)

    assert value.__dataclass_params__.frozen
    assert set(value.__slots__) == {field.name for field in fields}
    assert all(field.kw_only for field in fields)
    assert value.__doc__


def test_there_are_values_in_every_module() -> None:
    assert {value.__module__ for value in VALUES} == {f"relay.{name}" for name in MODULES}
