"""Archive and `seen` store behind PgBouncer, which gives each transaction any of its sessions."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from consumers.kit import Database, Event
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from deploy.local.postgres import PrivatePostgres
from deploy.local.private_server import eventually as blocking_until
from deploy.local.private_server import free_port
from tests.support.archives import archived, event, found, opened_archive
from tests.support.seen_stores import numbered

ROUNDS = 12
"""psycopg would prepare a statement the sixth time."""
SESSION_SETTINGS = ("statement_timeout", "timezone", "default_transaction_read_only")
SETTINGS = """[databases]
* = host={sockets} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


@pytest.fixture
def pooled_url(postgres: PrivatePostgres, postgres_url: str) -> Iterator[str]:
    """The URL of an empty database, through PgBouncer."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is missing: sudo apt-get install pgbouncer")
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "pgbouncer.ini")
        config.write_text(SETTINGS.format(sockets=postgres.directory, port=port))
        for path in (Path(directory), config):
            path.chmod(0o755)
        process = subprocess.Popen(
            [program, str(config)], user="postgres" if Path(directory).owner() == "root" else None
        )
        url = f"postgresql://postgres@127.0.0.1:{port}{urlsplit(postgres_url).path}"
        try:
            blocking_until(lambda: answers(url), 20)
            yield url
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def session_settings(url: str) -> list[set[str]]:
    """Return the settings of sessions that the pool may give to the next one."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as db:
        return [
            {str(row[0]) for _ in range(5) for row in db.execute(f"SHOW {name}".encode())}
            for name in SESSION_SETTINGS
        ]


async def test_archives_share_sessions_and_leave_nothing_in_them(pooled_url: str) -> None:
    before = session_settings(pooled_url)
    async with opened_archive(pooled_url) as first, opened_archive(pooled_url) as second:
        for number in range(ROUNDS):
            events = [event(f"{number}-{each}") for each in range(20)]
            assert await first.append(events[:10]) == 10
            assert await second.append(events) == 10

        assert len(found(first)) == len(found(second)) == 20 * ROUNDS
        assert found(second, limit=10) == archived(*events[10:])
    assert session_settings(pooled_url) == before


async def test_stores_share_sessions_and_leave_nothing_in_them(pooled_url: str) -> None:
    before = session_settings(pooled_url)
    schema = "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY)"
    stores = [
        SeenStore(SeenDatabase.at(pooled_url, schema=schema), service="a", keep_s=60)
        for _ in range(2)
    ]

    def write(event: Event, db: Database) -> None:
        db.execute("INSERT INTO notes VALUES (%s)", (event.id,))

    for number in range(ROUNDS):
        for place, store in enumerate(stores):
            key = f"{number}-{place}"
            assert await store.are_new([key]) == [True]
            await store.mark([key])
            assert await store.are_new([key, "nobody"]) == [False, True]
            written = await store.write(numbered(5 * (number + 1)), write)
            assert sum(result is True for result in written) == (5 if place == 0 else 0)
    for store in stores:
        await store.close()
    assert session_settings(pooled_url) == before
