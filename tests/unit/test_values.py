"""Values are frozen and slotted, wherever they are; what is made per delivery is a NamedTuple."""

import dataclasses
import importlib
import inspect
from typing import Any

from tests.support.rows import for_each

MODULES = [
    "events.event",
    "events.topology",
    "events.message",
    "vendors.kit.request",
    "ingress.processing",
    "ingress.http_response",
]
CLASSES = [
    value
    for name in MODULES
    for module in [importlib.import_module(f"relay.{name}")]
    for value in vars(module).values()
    if inspect.isclass(value) and value.__module__ == module.__name__
]
DATACLASSES = [found for found in CLASSES if dataclasses.is_dataclass(found)]
TUPLES = [found for found in CLASSES if issubclass(found, tuple)]


@for_each(value=DATACLASSES)
def test_a_value_never_changes_and_says_what_its_parts_are(value: Any) -> None:
    fields = dataclasses.fields(value)

    assert value.__dataclass_params__.frozen
    assert set(value.__slots__) == {field.name for field in fields}
    assert all(field.kw_only for field in fields if field.init)
    assert value.__doc__


@for_each(value=TUPLES)
def test_a_tuple_has_no_place_for_more_than_it_says(value: Any) -> None:
    assert value.__slots__ == ()
    assert value.__doc__


def test_there_are_values_in_every_module() -> None:
    assert {found.__module__ for found in DATACLASSES + TUPLES} == {
        f"relay.{name}" for name in MODULES
    }
