"""A `seen` store whose file is corrupt: it is set aside, and a new one begun."""

import sqlite3
from collections.abc import Iterator, MutableMapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumers.kit import Database, Event, Unavailable
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.sqlite import SqliteDialect
from consumers.kit.seen.store import SeenStore
from tests.support.seen_stores import EVENT, Open, check_usable

PAGE_BYTES = 4096
JUNK = b"no database at all. " * 1000


@pytest.fixture
def path(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:"))


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


def fill_with_junk(path: Path) -> None:
    path.write_bytes(JUNK)


def is_junk(path: Path) -> bool:
    return path.read_bytes() == JUNK


def kept_beside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("seen.db.corrupt-*[0-9]Z"))


def fill(path: Path) -> None:
    """Make a store of some hundred pages."""
    with closing(SeenDatabase.at(f"sqlite:{path}")) as database:
        database.mark("crm-sync", [f"{number:040}" for number in range(5000)], now=1e12)


def damage(path: Path) -> None:
    """Overwrite every page but the first, as a disk might."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(b"\xa5" * (path.stat().st_size - PAGE_BYTES))


async def test_a_file_that_is_no_database_is_set_aside_unchanged(
    path: Path, sqlite_url: str, open_seen: Open, logged: list[MutableMapping[str, Any]]
) -> None:
    fill_with_junk(path)

    await check_usable(await open_seen(sqlite_url))

    (kept,) = kept_beside(path)
    (line,) = logged
    assert is_junk(kept)
    assert (line["event"], line["log_level"]) == ("seen store corrupt", "error")
    assert line["kept"] == str(kept)


async def test_a_store_that_is_damaged_at_the_start_is_set_aside(
    path: Path, sqlite_url: str, open_seen: Open
) -> None:
    fill(path)
    damage(path)

    seen = await open_seen(sqlite_url)
    with suppress(Unavailable):
        await seen.are_new([f"{number:040}" for number in range(100)])

    await check_usable(seen)
    assert len(kept_beside(path)) == 1


async def test_a_store_that_is_damaged_while_it_runs_is_set_aside_and_logged_once(
    path: Path, sqlite_url: str, open_seen: Open, logged: list[MutableMapping[str, Any]]
) -> None:
    fill(path)
    seen = await open_seen(sqlite_url)
    damage(path)

    with pytest.raises(Unavailable, match="malformed"):
        await seen.are_new([f"{number:040}" for number in range(100)])

    await check_usable(seen)
    assert len(kept_beside(path)) == len(logged) == 1


async def test_services_that_share_a_damaged_file_go_on_with_one_new_file(
    path: Path, sqlite_url: str, open_seen: Open
) -> None:
    fill(path)
    first, second = await open_seen(sqlite_url), await open_seen(sqlite_url)
    damage(path)

    for seen in (first, second):
        with suppress(Unavailable):
            await seen.are_new([f"{number:040}" for number in range(100)])
        await seen.mark(["after"])

    assert len(kept_beside(path)) == 1
    assert await first.are_new(["after"]) == await second.are_new(["after"]) == [False]


async def test_an_error_of_another_database_leaves_the_store_in_its_place(
    tmp_path: Path, path: Path, sqlite_url: str, open_seen: Open
) -> None:
    (tmp_path / "other.db").write_bytes(JUNK)
    seen = await open_seen(sqlite_url)

    def write(_event: Event, _db: Database) -> None:
        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("CREATE TABLE a (b)")

    with pytest.raises(Unavailable, match="not a database"):
        await seen.write([EVENT], write)

    await check_usable(seen)
    assert kept_beside(path) == []


async def test_a_file_nobody_may_rename_or_read_is_unavailable_and_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_with_junk(path)

    def refuse(*_: object) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    seen = SeenStore(SeenDatabase(SqliteDialect(path)), service="a", keep_s=60)

    with pytest.raises(Unavailable, match="not a database"):
        await seen.open()
    assert is_junk(path)
    await seen.close()
