"""Archives in SQLite and in PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.archive.record import Archive
from tests.support.archives import opened_archive


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
