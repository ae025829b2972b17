"""The command over an archive in SQLite."""

from pathlib import Path

import pytest

from tests.support.relay_command import RelayCommand


@pytest.fixture
def relay(tmp_path: Path) -> RelayCommand:
    config = tmp_path / "relay.toml"
    config.write_text(f'[consumers.archive]\ndatabase = "sqlite:{tmp_path}/archive.db"\n')
    return RelayCommand(config)
