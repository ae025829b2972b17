"""What the relay and other services keep in the same file does not matter to a service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.kit.settings import ConsumerSettings, SharedSettings, load
from relay import settings as relay_settings
from relay.errors import SettingsError

Written = Callable[[str], Path]

SOURCES = """
[sources.sales]
vendor = "swiftsell"
secrets = ["env:NOT_SET_HERE", "file:/nowhere"]
[ingress]
port = 80
[admin]
port = 81
[outbox]
directory = "/nowhere"
[history]
enabled = true
"""


def section_in(path: Path) -> ConsumerSettings:
    return load("crm-sync", ConsumerSettings, path)[1]


def test_a_consumer_needs_none_of_the_relays_secrets(written: Written) -> None:
    assert section_in(written(SOURCES)) == ConsumerSettings()
    with pytest.raises(SettingsError):
        relay_settings.load(written(SOURCES))


def test_a_consumer_ignores_what_the_relay_would_refuse(written: Written) -> None:
    path = written("[ingress]\nport = 'x'\n[sources]\nsales = 1\n")

    assert section_in(path) == ConsumerSettings()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "prefetch = 'many'",
        "unknown = [1, {a = 2}]",
        "places = {one = {url = 5}}",
        "seen = 'env:NOT_SET_HERE'",
    ],
)
def test_the_relay_ignores_the_sections_of_consumers(content: str, written: Written) -> None:
    path = written(f"[consumers.some-service]\n{content}\n[admin]\nport = 7\n")

    assert relay_settings.load(path).admin.port == 7
    assert section_in(path) == ConsumerSettings()


def test_the_relay_ignores_the_variables_of_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_CONSUMERS__CRM_SYNC__PREFETCH", "many")
    monkeypatch.setenv("RELAY_CONSUMERS__CRM_SYNC__UNKNOWN", "1")

    assert relay_settings.load().admin.port == 9090


def test_every_section_of_the_relay_is_known_to_a_service() -> None:
    assert set(SharedSettings.model_fields) == set(relay_settings.Settings.model_fields)
