from pathlib import Path

import pytest

from relay.console.deployment import Deployment
from relay.errors import BrokerError
from relay.settings import load
from tests.support.servers.console import SOURCE


async def test_a_connection_that_is_lost_is_an_error_of_the_broker(
    tmp_path: Path, broker_url: str
) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'[broker]\nurls = ["{broker_url}"]\n{SOURCE}')

    async def lose(deployment: Deployment) -> None:
        async with deployment.connecting() as connection:
            await connection.close()
            await connection.channel()

    with pytest.raises(BrokerError, match="was lost"):
        await lose(Deployment(load(config)))
