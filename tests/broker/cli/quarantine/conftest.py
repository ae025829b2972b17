"""The command, and the queue it works on."""

from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from relay.events.topology import Topology
from tests.support.cli.quarantine import Quarantine
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    process = RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    process.sections["sources.acme"] = process.sections.pop("sources.swiftsell")
    process.write_config(process.sections)
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def quarantine(
    relay: RelayCommand,
    connection: AbstractConnection,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes it down
) -> Quarantine:
    assert (await relay("topology", "--apply")).code == 0
    return Quarantine(connection, exchange)
