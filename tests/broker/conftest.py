"""The events' exchange, a consumer of all of them, queues of a service, and a PostgreSQL."""

import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology as consumer_topology
from deploy.local.postgres import PrivatePostgres
from relay.broker.connection import declare
from relay.events import topology
from tests.support.cleanup import delete_queues
from tests.support.consuming import Exchange
from tests.support.event_recorder import Recorder


@pytest.fixture
async def recorder(
    connection: AbstractConnection,
    exchange: str,
    declared: topology.Topology,  # noqa: ARG001  takes the exchanges down after the recorder
) -> AsyncIterator[Recorder]:
    async with Recorder(connection, exchange) as recorder:
        yield recorder


@pytest.fixture
async def events(
    connection: AbstractConnection, exchange: str, declared: topology.Topology
) -> Exchange:
    """The events' exchange, with all the relay declares."""
    await declare(connection, declared, passive=False)
    return Exchange(await connection.channel(), exchange)


@pytest.fixture
async def name(connection: AbstractConnection, exchange: str) -> AsyncIterator[str]:
    """The name of a service whose queues are taken down at the end."""
    service = f"{exchange}-service"
    yield service
    delays_s = [0.1, 0.2, 1, 10, 60, 600]
    wanted = consumer_topology.topology(service, retry_delays_s=delays_s, dead_max_length=1)
    await delete_queues(connection, wanted.queues)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL server for the whole run. Without one installed, the tests fail."""
    with PrivatePostgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PrivatePostgres) -> str:
    """The URL of a database that only this test uses."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return postgres.url_of(name)


@pytest.fixture
def own_postgres(postgres: PrivatePostgres) -> Iterator[PrivatePostgres]:
    """The server, which this test may stop, kill and start."""
    yield postgres
    if not postgres.is_running:
        postgres.start()
