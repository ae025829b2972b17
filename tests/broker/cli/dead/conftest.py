"""The command, and a service that does not run."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from tests.support.cli.idle_service import IdleService
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def service(connection: AbstractConnection) -> AsyncIterator[IdleService]:
    service = IdleService(connection, f"test-{uuid.uuid4().hex[:12]}")
    await service.declare()
    yield service
    await service.delete()
