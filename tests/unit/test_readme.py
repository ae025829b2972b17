"""What README.md shows has to work: its settings."""

import re
from pathlib import Path

import pytest

from relay.settings import load

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", Path("README.md").read_text(), re.DOTALL)


def blocks(language: str, containing: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language and containing in text]


def test_the_settings_shown_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWIFTSELL_TOKEN", "secret")
    (text,) = blocks("toml", "[broker]")

    path = tmp_path / "relay.toml"
    path.write_text(text)

    settings = load(path)

    assert list(settings.sources) == ["acme-sales"]
