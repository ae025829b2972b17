"""A `seen` store in every kind of database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from tests.support.seen_stores import Open


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'seen.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, in each kind."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
async def open_seen() -> AsyncIterator[Open]:
    """Open a store; it is closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_seen(
            url: str, service: str = "crm-sync", keep_s: float = 600, **options: int
        ) -> SeenStore:
            seen = SeenStore(SeenDatabase.at(url), service=service, keep_s=keep_s, **options)
            stack.push_async_callback(seen.close)
            await seen.open()
            return seen

        yield open_seen
