"""The example file is the documentation of the settings, so it has to be complete and right."""

from pathlib import Path

import pytest

from relay.settings import Settings, SourceSettings, load

EXAMPLE = Path("deploy/relay.example.toml")


def test_the_example_lists_every_setting_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWIFTSELL_TOKEN", "secret")

    settings = load(EXAMPLE)

    defaults = Settings.model_construct()
    for section in ("ingress", "admin", "broker", "history", "outbox", "log"):
        listed = getattr(settings, section)
        assert listed == getattr(defaults, section)
        assert listed.model_fields_set == set(type(listed).model_fields)
    (source,) = settings.sources.values()
    assert source.model_fields_set == set(SourceSettings.model_fields)
