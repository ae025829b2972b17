"""Where `relay init` writes."""

from pathlib import Path

import pytest

from tests.support.relay_command import RelayCommand


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "relay.toml"


@pytest.fixture
def relay(config: Path) -> RelayCommand:
    return RelayCommand(config)
