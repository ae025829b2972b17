"""A `seen` store whose database fails is unavailable, until the database is back."""

import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from consumers.kit import Unavailable
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.sqlite import SqliteDialect
from consumers.kit.seen.store import SeenStore
from deploy.local.postgres import PrivatePostgres
from tests.support.seen_stores import EVENT, Open, check_usable, execute, numbered

# Trouble.


async def check_unavailable(seen: SeenStore, reason: str = "") -> None:
    """Nothing can be asked, told or written, and each says so."""
    writing = seen.write([EVENT], lambda _event, _db: None)
    for attempt in (seen.are_new(["a"]), seen.mark(["a"]), writing):
        with pytest.raises(Unavailable, match=rf"^The seen store can't be used: .*{reason}.*\.$"):
            await attempt


async def test_a_place_that_is_no_directory_is_unavailable_until_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    seen = SeenStore(SeenDatabase.at(f"sqlite:{tmp_path}/file/seen.db"), service="a", keep_s=60)

    with pytest.raises(Unavailable, match=r"(File exists|Not a directory)"):
        await seen.open()
    await check_unavailable(seen)

    (tmp_path / "file").unlink()
    await check_usable(seen)
    await seen.close()


async def test_a_table_of_someone_else_is_unavailable(url: str) -> None:
    execute(url, "CREATE TABLE seen (a INT)")
    seen = SeenStore(SeenDatabase.at(url), service="a", keep_s=60)

    with pytest.raises(Unavailable, match="column"):
        await seen.open()
    await seen.close()


async def test_a_table_that_is_gone_is_replaced(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)
    execute(url, "DROP TABLE seen")

    with suppress(Exception):
        await seen.mark(["a"])

    await check_usable(seen)


async def test_a_database_that_others_keep_locked_is_unavailable(
    sqlite_url: str,
) -> None:
    path = sqlite_url.removeprefix("sqlite:")
    database = SeenDatabase(SqliteDialect(Path(path), busy_timeout_s=0.05))
    seen = SeenStore(database, service="crm-sync", keep_s=600)
    await seen.open()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            await seen.mark(["a"])
        assert await seen.are_new(["a"]) == [True]  # to look, nobody waits

    await check_usable(seen)
    await seen.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where mounting one is allowed."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


async def test_a_full_disk_is_unavailable_until_there_is_room(
    small_disk: Path, open_seen: Open
) -> None:
    seen = await open_seen(f"sqlite:{small_disk}/seen.db")
    (small_disk / "other").write_bytes(b"x" * 700_000)
    marked: list[str] = []

    async def fill() -> None:
        for number in range(1000):
            keys = [f"{number}-{each:040}" for each in range(100)]
            await seen.mark(keys)
            marked.extend(keys)

    with pytest.raises(Unavailable, match="full"):
        await fill()
    with pytest.raises(Unavailable):
        await seen.write(numbered(100), lambda _event, _db: None)

    (small_disk / "other").unlink()
    await check_usable(seen)
    assert len(marked) > 100
    assert not any(await seen.are_new(marked[:2000]))


async def test_a_disk_that_turns_read_only_is_unavailable(small_disk: Path) -> None:
    with closing(SeenDatabase.at(f"sqlite:{small_disk}/seen.db")) as database:
        database.mark("crm-sync", ["before"], now=time.time())
    seen = SeenStore(SeenDatabase.at(f"sqlite:{small_disk}/seen.db"), service="crm-sync", keep_s=60)

    remount(small_disk, "ro")
    with pytest.raises(Unavailable):
        await seen.mark(["a"])
    remount(small_disk, "rw")

    await check_usable(seen)
    assert await seen.are_new(["before", "a"]) == [False, True]
    await seen.close()


def remount(path: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(path)], check=True)


async def test_the_directory_is_made(tmp_path: Path, open_seen: Open) -> None:
    await open_seen(f"sqlite:{tmp_path}/a/b/seen.db")

    assert stat.S_ISREG((tmp_path / "a" / "b" / "seen.db").stat().st_mode)


# A server that goes and comes back.


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(
    own_postgres: PrivatePostgres, postgres_url: str, open_seen: Open
) -> None:
    seen = await open_seen(postgres_url)
    await seen.mark(["before"])

    own_postgres.stop()
    await check_unavailable(seen)
    own_postgres.start()

    await check_usable(seen)
    assert await seen.are_new(["before", "a"]) == [False, True]


async def test_a_connection_that_is_cut_is_replaced(postgres_url: str, open_seen: Open) -> None:
    seen = await open_seen(postgres_url)
    execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    with pytest.raises(Unavailable):
        await seen.mark(["a"])

    await check_usable(seen)
