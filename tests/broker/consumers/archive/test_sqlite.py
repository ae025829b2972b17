"""The archive in SQLite: what a disk, other processes and other programs' files do to it."""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from consumers.archive.record import ArchiveError
from consumers.archive.sqlite import SqliteArchive
from consumers.kit import Unavailable
from tests.support.archives import archived, event, found, opened_archive

APPEND_UNTIL_KILLED = """
import asyncio, itertools, sys
from tests.support.archives import event, opened_archive

async def main():
    async with opened_archive(sys.argv[1]) as archive:
        for n in itertools.count():
            await archive.append([event(f"{n}-{i}") for i in range(10)])
            print(n, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


async def test_what_was_appended_survives_a_kill(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", APPEND_UNTIL_KILLED, f"sqlite:{path}"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert process.stdout
    for _ in range(5):
        last = int(await process.stdout.readline())

    process.send_signal(signal.SIGKILL)
    rest, _ = await process.communicate()

    last = int(rest.splitlines()[-1]) if rest.endswith(b"\n") else last
    count = len(found(SqliteArchive(path)))
    assert count >= 10 * (last + 1)
    assert count % 10 == 0


async def test_every_batch_is_synced(path: Path) -> None:
    async with opened_archive(f"sqlite:{path}") as archive:
        assert isinstance(archive, SqliteArchive)
        db = archive._db

        (synchronous,) = await archive._thread.do(
            lambda: db.execute("PRAGMA synchronous").fetchone()
        )
        (mode,) = await archive._thread.do(lambda: db.execute("PRAGMA journal_mode").fetchone())

    assert (synchronous, mode) == (2, "wal")  # 2: FULL


async def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened_archive(f"sqlite:{tmp_path}/a/archive.db"):
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


async def test_several_instances_at_once_make_one_archive(path: Path) -> None:
    archives = [SqliteArchive(path) for _ in range(8)]
    events = [event(f"{n}") for n in range(100)]

    await asyncio.gather(*[archive.open() for archive in archives])
    counts = await asyncio.gather(*[archive.append(events) for archive in archives])

    assert sorted(counts) == [0] * 7 + [100]
    assert found(archives[0]) == archived(*events)
    await asyncio.gather(*[archive.close() for archive in archives])


async def test_a_file_that_another_process_keeps_is_waited_for_later(path: Path) -> None:
    archive = SqliteArchive(path, busy_timeout_s=0.01)
    await archive.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(Unavailable, match=r"can't be written: database is locked\.$"):
            await archive.append([event()])

    assert await archive.append([event()]) == 1
    await archive.close()


async def test_a_full_disk_is_waited_for_and_nothing_is_half_there(path: Path) -> None:
    async with opened_archive(f"sqlite:{path}") as archive:
        await archive.append([event("before")])
        large = [event(f"{n}", raw=b'"%s"' % (b"x" * 100_000)) for n in range(100)]
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited[1]))
        try:
            with pytest.raises(Unavailable, match="can't be written"):
                await archive.append(large)
            assert found(archive) == archived(event("before"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

        assert await archive.append(large) == 100


async def test_an_append_that_is_given_up_disturbs_nothing(path: Path) -> None:
    async with opened_archive(f"sqlite:{path}") as archive:
        given_up = asyncio.ensure_future(archive.append([event("a")]))
        await asyncio.sleep(0)
        given_up.cancel()

        assert await archive.append([event("b")]) == 1

        assert archived(event("b"))[0] in found(archive)


def test_what_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 1000)

    with pytest.raises(ArchiveError, match=f"The archive {path} can't be opened: file is not a "):
        asyncio.run(SqliteArchive(path).open())
    with pytest.raises(ArchiveError, match=f"The archive {path} can't be read: file is not a "):
        found(SqliteArchive(path))

    assert path.read_bytes().startswith(b"something else")


async def test_the_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 1")

    with pytest.raises(ArchiveError, match=r"no such table: archive\.$"):
        await SqliteArchive(path).open()
    with pytest.raises(ArchiveError, match=r"no such table: archive\.$"):
        found(SqliteArchive(path))


@pytest.mark.parametrize(
    ("name", "why"), [("directory", "directory is a"), ("file/archive.db", "file is no")]
)
async def test_a_path_that_cannot_be_is_refused(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()

    reason = rf"The archive {tmp_path / name} can't be opened: .*; {tmp_path}/{why} directory\.$"
    with pytest.raises(ArchiveError, match=reason):
        await SqliteArchive(tmp_path / name).open()
