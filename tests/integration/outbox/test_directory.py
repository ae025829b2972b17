"""An outbox whose file is damaged when it is opened, or removed while it is in use."""

import contextlib
import hashlib
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.errors import NotDurable, OutboxCorrupt, OutboxError
from relay.outbox import database, files
from relay.outbox import stats as outbox_stats
from relay.outbox.limits import OutboxLimits
from relay.outbox.lock import LOCK_NAME
from relay.outbox.outbox import Outbox
from tests.integration.outbox.conftest import Open, message
from tests.support.eventually import eventually


@pytest.fixture
async def filled(open_outbox: Open, directory: Path) -> Path:
    """The path of a database with some messages."""
    box = await open_outbox()
    await box.append([message(f"{n}", size=5000) for n in range(50)])
    await box.close()
    return directory / database.FILE_NAME


@pytest.fixture
async def box(open_outbox: Open) -> Outbox:
    """An outbox that checks before each commit whether its file was removed."""
    return await open_outbox(limits=OutboxLimits(check_file_every_s=0))


def create(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def clear_header(path: Path) -> None:
    overwrite(path, 0, bytes(100))


def tear(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def aside(directory: Path) -> list[Path]:
    """The databases that were set aside, without their logs."""
    return [path for path in directory.glob("*corrupt*") if path.name.endswith("Z")]


def damage_a_page(path: Path) -> None:
    overwrite(path, 2 * database.PAGE_BYTES, b"x" * database.PAGE_BYTES)


DAMAGES = [clear_header, tear, damage_a_page]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_corrupt_database_is_kept_and_a_new_one_begun(
    filled: Path, directory: Path, open_outbox: Open, damage: Callable[[Path], None]
) -> None:
    damage(filled)
    damaged = digest(filled)

    box = await open_outbox()
    await box.append([message("new")])
    await box.close()

    (kept,) = aside(directory)
    assert digest(kept) == damaged
    again = await open_outbox()
    assert [row.message.id for row in await again.pending(after=0, limit=9)] == ["new"]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_corrupt_database_is_refused_if_told_so(
    filled: Path, directory: Path, open_outbox: Open, damage: Callable[[Path], None]
) -> None:
    damage(filled)

    with pytest.raises(OutboxCorrupt, match=r"outbox\.db"):
        await open_outbox(sets_corrupt_aside=False)

    assert aside(directory) == []


def test_the_log_of_a_database_goes_with_it(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"outbox.db{suffix}").write_text(suffix)

    kept = files.set_aside(tmp_path / "outbox.db", 1_700_000_000.5)

    assert kept.name == "outbox.db.corrupt-20231114T221320.500000Z"
    assert {path.name for path in tmp_path.iterdir()} == {kept.name, f"{kept.name}-wal"}
    assert (tmp_path / f"{kept.name}-wal").read_text() == "-wal"


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_database_that_was_removed_takes_nothing_until_it_is_delivered(
    box: Outbox, directory: Path, suffix: str
) -> None:
    await box.append([message("old")])
    (directory / f"{database.FILE_NAME}{suffix}").unlink()

    with pytest.raises(NotDurable, match="its file was removed"):
        await box.append([message("refused")])
    with pytest.raises(NotDurable, match="its file was removed"):
        await box.check_writable()
    (left,) = await box.pending(after=0, limit=9)
    assert left.message.id == "old"
    box.confirm([left.seq])

    async def is_writable() -> bool:
        try:
            await box.check_writable()
        except NotDurable:
            return False
        return True

    await eventually(is_writable)
    await box.append([message("new")])
    stats, _ = outbox_stats.inspect(directory, 1 << 30)
    assert stats.depth == 1


async def test_a_directory_that_was_removed_is_made_anew_with_its_lock(
    box: Outbox, directory: Path
) -> None:
    shutil.rmtree(directory)

    await box.append([message("new")])

    assert (directory / database.FILE_NAME).exists()
    assert (directory / LOCK_NAME).exists()


async def test_an_outbox_of_another_version_is_left_alone(
    open_outbox: Open, directory: Path
) -> None:
    create(directory / database.FILE_NAME)
    with contextlib.closing(sqlite3.connect(directory / database.FILE_NAME)) as db:
        db.execute("PRAGMA user_version = 7")

    with pytest.raises(OutboxError, match=r"schema version 7, this relay knows 1"):
        await open_outbox()


async def test_a_file_that_is_no_database_is_left_alone_if_told_so(
    open_outbox: Open, directory: Path
) -> None:
    path = directory / database.FILE_NAME
    create(path, b"not a database " * 1000)

    with pytest.raises(OutboxError, match="can't be opened: file is not a database"):
        await open_outbox(sets_corrupt_aside=False)

    assert path.read_bytes().startswith(b"not a database")
    path.unlink()
    await open_outbox()  # the lock was given back


async def test_a_directory_that_is_a_file_is_refused(open_outbox: Open, directory: Path) -> None:
    create(directory)

    with pytest.raises(OutboxError, match="outbox can't be used: File exists"):
        await open_outbox()


async def test_the_directory_is_created_for_its_owner_alone(
    open_outbox: Open, tmp_path: Path
) -> None:
    await open_outbox(directory=tmp_path / "a" / "b")

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
