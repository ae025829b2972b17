"""A library that another one would import, and does not get to see."""

import importlib
import sys

import pytest

from relay.process import libraries


@pytest.mark.parametrize("is_imported", [False, True])
def test_a_hidden_library_is_missing_inside_and_there_afterwards(
    *, is_imported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = importlib.import_module("colorsys") if is_imported else None

    with libraries.hidden("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")

    assert sys.modules.get("colorsys") is before
    assert importlib.import_module("colorsys").rgb_to_hsv


def test_it_is_there_again_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), libraries.hidden("json"):
        raise ZeroDivisionError

    assert sys.modules["json"] is importlib.import_module("json")
