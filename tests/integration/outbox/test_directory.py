"""An outbox whose file is damaged when it is opened, or removed while it is in use."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.errors import NotDurable, OutboxCorrupt
from relay.events.message import Message
from relay.outbox import database, files
from relay.outbox import stats as outbox_stats
from relay.outbox.outbox import Outbox
from tests.support.eventually import eventually


def message(name: str) -> Message:
    return Message(id=name, routing_key="a.b", properties=b"", body=b"b" * 5000, received_at=1.0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
async def filled(directory: Path) -> Path:
    """The path of a database with some messages."""
    box = Outbox(directory=directory, max_bytes=1 << 30, committed=asyncio.Event())
    await box.open()
    await box.append([message(f"{n}") for n in range(50)])
    await box.close()
    return directory / database.FILE_NAME


@pytest.fixture
async def box(directory: Path) -> AsyncIterator[Outbox]:
    box = Outbox(directory=directory, max_bytes=1 << 30, committed=asyncio.Event())
    await box.open()
    yield box
    await box.close()


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
    return [it for it in directory.glob("*corrupt*") if it.name.endswith("Z")]


def damage_a_page(path: Path) -> None:
    overwrite(path, 2 * database.PAGE_BYTES, b"x" * database.PAGE_BYTES)


DAMAGES = [clear_header, tear, damage_a_page]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_corrupt_database_is_kept_and_a_new_one_begun(
    filled: Path, directory: Path, damage: Callable[[Path], None]
) -> None:
    damage(filled)
    damaged = digest(filled)

    box = Outbox(directory=directory, max_bytes=1 << 30, committed=asyncio.Event())
    await box.open()
    await box.append([message("new")])
    await box.close()

    (kept,) = aside(directory)
    assert digest(kept) == damaged
    again = Outbox(directory=directory, max_bytes=1 << 30, committed=asyncio.Event())
    await again.open()
    assert [it.message.id for it in await again.pending(after=0, limit=9)] == ["new"]
    await again.close()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_corrupt_database_is_refused_if_told_so(
    filled: Path, directory: Path, damage: Callable[[Path], None]
) -> None:
    damage(filled)
    box = Outbox(
        directory=directory,
        max_bytes=1 << 30,
        committed=asyncio.Event(),
        sets_corrupt_aside=False,
    )

    with pytest.raises(OutboxCorrupt, match=r"outbox\.db"):
        await box.open()

    assert aside(directory) == []


def test_the_log_of_a_database_goes_with_it(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"outbox.db{suffix}").write_text(suffix)

    kept = files.set_aside(tmp_path / "outbox.db", 1_700_000_000.5)

    assert kept.name == "outbox.db.corrupt-20231114T221320.500000Z"
    assert {it.name for it in tmp_path.iterdir()} == {kept.name, f"{kept.name}-wal"}
    assert (tmp_path / f"{kept.name}-wal").read_text() == "-wal"


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_database_that_was_removed_takes_nothing_until_it_is_delivered(
    box: Outbox, directory: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.outbox.directory._LOOK_S", 0)
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
    box: Outbox, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.outbox.directory._LOOK_S", 0)
    shutil.rmtree(directory)

    await box.append([message("new")])

    assert (directory / database.FILE_NAME).exists()
    assert (directory / database.LOCK_NAME).exists()
