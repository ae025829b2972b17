"""Shared by the unit tests: how hard hypothesis tries, JSON compared exactly, settings files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick", deadline=None, max_examples=60, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def exactly() -> Callable[[bytes], Any]:
    """Read a JSON text so that equal results mean equal JSON, to the last digit and duplicate."""

    def number(digits: str) -> tuple[str, str]:
        return "number", digits

    def members(pairs: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
        return tuple(pairs)

    def read(text: bytes) -> Any:
        return json.loads(text, parse_int=number, parse_float=number, object_pairs_hook=members)

    return read


@pytest.fixture
def in_empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stand where no relay.toml is found."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a settings file; return where it is."""

    def write(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        return path

    return write
