"""A relay with a history, and the command that replays it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from tests.support.cli.past_events import PastEvents
from tests.support.cli.replay import Replay
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange, history={"enabled": True})
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
def replay(relay: RelayCommand, tmp_path: Path) -> Replay:
    return Replay(relay, tmp_path / "progress" / "replay.json")


@pytest.fixture
async def past(
    connection: AbstractConnection, broker_url: str, exchange: str
) -> AsyncIterator[PastEvents]:
    async with PastEvents(connection, broker_url, exchange) as past:
        yield past
