"""Each recipe can be copied: there is one per preset, and its settings are complete and right."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.configured import sources_of
from relay.settings import load
from relay.vendors.generic.presets import PRESETS
from relay.vendors.generic.setups import PRESET_SETUPS
from tests.support.senders import SENDERS

TEXT = Path("relay/vendors/generic/RECIPES.md").read_text()
README = Path("relay/vendors/generic/README.md").read_text()
RECIPES = re.findall(
    r"(?s)^## ([^\n]+)\n\n```toml\n(.*?)```\n\nEnter: (.*?)\nTest: (.*?)\n", TEXT, re.MULTILINE
)


def preset_of(section: dict[str, Any]) -> str:
    """Return the preset of a source. One with a module of its own can't be named as vendor."""
    return str(section.get("preset", section["vendor"]))


def test_there_is_a_recipe_for_each_preset() -> None:
    named = [
        preset_of(next(iter(tomllib.loads(toml)["sources"].values()))) for _, toml, *_ in RECIPES
    ]

    assert sorted(named) == sorted(PRESETS) == sorted(PRESET_SETUPS)
    assert TEXT.count("\n## ") == len(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe[0])
def test_a_recipe_can_be_copied(
    recipe: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    title, toml, enter, test = recipe
    ((name, section),) = tomllib.loads(toml)["sources"].items()
    for variable in re.findall(r"env:(\w+)", toml):
        monkeypatch.setenv(variable, SENDERS[preset_of(section)].secrets[0])
    path = tmp_path / "relay.toml"
    path.write_text(toml)

    source = sources_of(load(path))[name]

    assert source.origin.vendor == preset_of(section)
    assert title
    assert enter == PRESET_SETUPS[preset_of(section)].enter  # what `relay init` says
    assert test


@pytest.mark.parametrize("number", range(README.count("```toml")))
def test_the_settings_of_the_readme_are_right(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = re.findall(r"(?s)```toml\n(.*?)```", README)[number]
    (tmp_path / "orders").write_text("s3cret")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "relay.toml"
    path.write_text(toml.replace("/run/secrets/orders", str(tmp_path / "orders")))

    sources = sources_of(load(path))

    assert all(source.vendor.rule for source in sources.values())
