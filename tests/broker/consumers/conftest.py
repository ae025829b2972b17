"""A PostgreSQL of the tests' own, and archives in it and in SQLite."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from consumers.archive.record import Archive
from deploy.local.postgres import PrivatePostgres
from tests.support.archives import opened_archive


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


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an archive that isn't there yet, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'archive.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def archive(database: str) -> AsyncIterator[Archive]:
    """An empty archive, once in SQLite and once in PostgreSQL."""
    async with opened_archive(database) as archive:
        yield archive
