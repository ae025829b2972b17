"""The `seen` store in real databases: what is remembered, for whom, and what if it fails."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumers.kit import Unavailable
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.sqlite import SqliteDialect
from consumers.kit.seen.store import SeenStore, key_of
from deploy.local.postgres import PrivatePostgres
from tests.support.eventually import LIMIT_S, eventually
from tests.support.seen_stores import EVENT, Open, check_usable, execute, numbered, rows_of

# Marks.


async def test_what_was_marked_is_not_new(url: str, open_seen: Open) -> None:
    seen = await open_seen(url)

    await seen.mark(["a", "b"])
    await seen.mark(["b", "c", "c"])

    assert await seen.are_new(["c", "x", "a", "x", "b"]) == [False, True, False, True, False]


async def test_marks_are_there_after_a_restart(url: str, open_seen: Open) -> None:
    with closing(SeenDatabase.at(url)) as before:
        before.mark("crm-sync", ["a"], now=time.time())

    assert await (await open_seen(url)).are_new(["a", "b"]) == [False, True]


async def test_services_that_share_a_database_do_not_see_each_others_marks(
    url: str, open_seen: Open
) -> None:
    one, other = await open_seen(url, "crm-sync"), await open_seen(url, "archive")

    await one.mark(["a"])

    assert await one.are_new(["a"]) == [False]
    assert await other.are_new(["a"]) == [True]


async def test_as_many_are_asked_for_as_can_be_in_hand(url: str, open_seen: Open) -> None:
    seen, keys = await open_seen(url), [str(number) for number in range(2000)]

    await seen.mark(keys[::2])

    assert await seen.are_new(keys) == [False, True] * 1000


@pytest.mark.parametrize(
    "event_id",
    ["\0", "a\0b", "é" * 3000, "\U0001f600" * 255, "a" * 1_000_000, "'; DROP TABLE seen; --", "%s"],
    ids=lambda each: repr(each[:20]),
)
async def test_any_id_can_be_remembered(event_id: str, url: str, open_seen: Open) -> None:
    seen, key = await open_seen(url), key_of(replace(EVENT, id=event_id))
    other = key_of(replace(EVENT, id=event_id + "x"))

    assert await seen.are_new([key, other]) == [True, True]
    await seen.mark([key])

    assert await seen.are_new([key, other]) == [False, True]


def test_an_event_of_a_replay_is_remembered_by_itself() -> None:
    first, second = replace(EVENT, replay="monday"), replace(EVENT, replay="tuesday")

    assert len({key_of(each) for each in (EVENT, first, second)}) == 3
    assert key_of(first) == key_of(replace(first, attempt=3, routing_key="other"))


# Age.


async def test_old_marks_are_forgotten_and_only_the_services_own(url: str, open_seen: Open) -> None:
    database = SeenDatabase.at(url)
    for service in ("crm-sync", "archive"):
        database.mark(service, ["old"], now=time.time() - 700)
        database.mark(service, ["kept"], now=time.time() - 500)
    database.close()
    mine, others = await open_seen(url, "crm-sync", 600), await open_seen(url, "archive", 800)

    await mine.mark(["new"])
    await others.mark(["new"])

    async def is_forgotten() -> bool:
        return await mine.are_new(["old", "kept", "new"]) == [True, False, False]

    await eventually(is_forgotten)
    assert await others.are_new(["old", "kept", "new"]) == [False, False, False]


async def test_a_mark_is_kept_for_as_long_as_it_should_be(url: str) -> None:
    with closing(SeenDatabase.at(url)) as database:
        database.mark("crm-sync", ["a"], now=1000.9)

        database.prune("crm-sync", 1000.95)
        kept = database.are_new("crm-sync", ["a"])
        database.prune("crm-sync", 1001.0)

        assert (kept, database.are_new("crm-sync", ["a"])) == ([False], [True])


async def test_marks_are_forgotten_a_thousand_at_a_time(url: str) -> None:
    """Whoever asks or tells meanwhile, here or elsewhere, does not wait for all of them."""
    with closing(SeenDatabase.at(url)) as database:
        database.mark("crm-sync", [str(number) for number in range(2500)], now=1000)

        there_is_more = [database.prune("crm-sync", 2000) for _ in range(3)]

        assert there_is_more == [True, True, False]
        assert rows_of(url, "SELECT count(*) FROM seen") == [(0,)]


async def test_that_old_marks_cannot_be_forgotten_is_logged(
    sqlite_url: str, open_seen: Open
) -> None:
    seen = await open_seen(sqlite_url)
    execute(
        sqlite_url,
        "CREATE TRIGGER keep BEFORE DELETE ON seen BEGIN SELECT RAISE(ABORT, 'kept'); END",
    )

    with closing(SeenDatabase.at(sqlite_url)) as database:
        database.mark("crm-sync", ["old"], now=1000)
    with capture_logs() as logs:
        await seen.mark(["new"])
        await eventually(lambda: logs)

    assert logs == [
        {
            "event": "old marks not deleted",
            "log_level": "warning",
            "service": "crm-sync",
            "reason": "The seen store can't be used: kept.",
        }
    ]


async def test_all_old_marks_are_forgotten_in_the_end(url: str, open_seen: Open) -> None:
    database = SeenDatabase.at(url)
    database.mark("crm-sync", [str(number) for number in range(5500)], now=1000)
    database.close()
    seen = await open_seen(url)

    await seen.mark(["new"])

    await eventually(lambda: rows_of(url, "SELECT event_id FROM seen") == [("new",)])


# Several at once.

MARK_AND_ASK = """
import asyncio, sys
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore

async def main(url, name):
    seen = SeenStore(SeenDatabase.at(url), service="crm-sync", keep_s=600)
    sys.stdin.readline()
    await seen.open()
    for number in range(50):
        await seen.mark([f"{name}-{number}", f"common-{number}"])
        assert await seen.are_new([f"{name}-{number}", "none"]) == [False, True]
    await seen.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_start_at_once_share_a_database(url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", MARK_AND_ASK, url, str(number)),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(6)
    ]

    ended = await asyncio.gather(*[process.communicate(b"go\n") for process in processes])

    assert [errors.decode() for _, errors in ended] == [""] * 6
    assert rows_of(url, "SELECT count(*) FROM seen") == [(350,)]


def test_whoever_finds_another_about_to_make_the_file_waits(tmp_path: Path) -> None:
    """SQLite lets nobody wait for the switch to WAL; whoever comes second is told off at once."""
    other = sqlite3.connect(tmp_path / "seen.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = SeenDatabase.at(f"sqlite:{tmp_path}/seen.db")

    with closing(other), closing(database), ThreadPoolExecutor(1) as thread:
        opening = thread.submit(database.open)
        with pytest.raises(TimeoutError):
            opening.result(0.2)
        other.execute("COMMIT")

        assert opening.result(LIMIT_S) is None


async def test_instances_that_mark_the_same_keys_in_any_order_do_not_block_each_other(
    url: str, open_seen: Open
) -> None:
    stores = [await open_seen(url) for _ in range(4)]
    keys = [str(number) for number in range(300)]

    for step in range(1, 6):
        order = [keys[::step] + keys, keys[::-step] + keys[::-1]] * 2
        await asyncio.gather(*[each.mark(keys) for each, keys in zip(stores, order, strict=True)])

    assert await stores[0].are_new(keys) == [False] * 300


async def test_of_many_that_ask_and_tell_at_once_each_gets_its_own_answer(
    url: str, open_seen: Open
) -> None:
    seen = await open_seen(url)

    async def mark_and_ask(number: int) -> list[bool]:
        await seen.mark([f"{number}"])
        return await seen.are_new([f"{number}", f"not {number}"])

    answers = await asyncio.gather(*[mark_and_ask(number) for number in range(200)])

    assert answers == [[False, True]] * 200


async def test_what_was_asked_for_is_done_before_the_store_closes(url: str) -> None:
    seen = SeenStore(SeenDatabase.at(url), service="crm-sync", keep_s=600)
    marking = [asyncio.ensure_future(seen.mark([f"{number}"])) for number in range(20)]
    await asyncio.sleep(0)

    await seen.close()
    await asyncio.gather(*marking)

    assert rows_of(url, "SELECT count(*) FROM seen") == [(20,)]


async def test_a_writer_that_blocks_does_not_keep_the_store_from_closing(sqlite_url: str) -> None:
    seen, is_over = (
        SeenStore(SeenDatabase.at(sqlite_url), service="a", keep_s=60),
        threading.Event(),
    )
    writing = asyncio.create_task(seen.write([EVENT], lambda _event, _db: bool(is_over.wait())))
    waiting = asyncio.create_task(seen.mark(["behind it"]))
    await asyncio.sleep(0)

    with capture_logs() as logs:
        await seen.close(limit_s=0.05)

    assert logs == [{"event": "thread blocked", "log_level": "warning", "thread": "seen"}]
    with pytest.raises(asyncio.CancelledError):
        await waiting
    is_over.set()
    assert await writing == [True]


def test_a_store_that_is_closed_opens_no_connection(sqlite_url: str) -> None:
    database = SeenDatabase.at(sqlite_url)

    database.close()

    with pytest.raises(Unavailable, match="closed"):
        database.mark("crm-sync", ["late"], now=1)
    assert not Path(sqlite_url.removeprefix("sqlite:")).exists()


# In memory.


async def test_what_was_handled_lately_is_known_without_the_database(
    sqlite_url: str, open_seen: Open
) -> None:
    seen = await open_seen(sqlite_url)

    seen.note("a")

    assert (seen.is_recent("a"), seen.is_recent("b")) == (True, False)
    assert await seen.are_new(["a"]) == [True]


async def test_memory_is_bounded_and_forgets_the_oldest(sqlite_url: str, open_seen: Open) -> None:
    seen = await open_seen(sqlite_url, max_recent=3)

    for key in "abcd":
        seen.note(key)

    assert [seen.is_recent(key) for key in "abcd"] == [False, True, True, True]


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


async def test_a_file_that_is_no_database_is_unavailable_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    path.write_bytes(b"not a database " * 1000)
    seen = SeenStore(SeenDatabase.at(f"sqlite:{path}"), service="a", keep_s=60)

    with pytest.raises(Unavailable, match="can't be used: file is not a database"):
        await seen.open()
    await check_unavailable(seen, "file is not a database")

    assert path.read_bytes().startswith(b"not a database")
    path.unlink()
    await check_usable(seen)
    await seen.close()


async def test_a_table_of_someone_else_is_unavailable(url: str) -> None:
    execute(url, "CREATE TABLE seen (a INT)")
    seen = SeenStore(SeenDatabase.at(url), service="a", keep_s=60)

    with pytest.raises(Unavailable, match="column"):
        await seen.open()
    await seen.close()


async def test_a_table_that_is_gone_is_made_anew(url: str, open_seen: Open) -> None:
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


async def test_a_connection_that_is_cut_is_made_anew(postgres_url: str, open_seen: Open) -> None:
    seen = await open_seen(postgres_url)
    execute(
        postgres_url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    with pytest.raises(Unavailable):
        await seen.mark(["a"])

    await check_usable(seen)


# Where it is.


@pytest.mark.parametrize("text", ["", "sqlite:", "seen.db", "mysql://host/db", "env:NOT_SET_HERE"])
def test_what_is_no_database_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"(give sqlite:PATH or postgresql|is not set|is empty)"):
        SeenDatabase.at(text)


def test_an_url_may_be_in_the_environment_or_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text(f"sqlite:{tmp_path}/one.db\n")
    monkeypatch.setenv("SEEN_URL", f"sqlite:{tmp_path}/two.db")

    for url in (f"file:{tmp_path}/url", "env:SEEN_URL"):
        with closing(SeenDatabase.at(url)) as database:
            database.open()

    assert {each.name for each in tmp_path.glob("*.db")} == {"one.db", "two.db"}


def test_that_psycopg_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "consumers.kit.seen.postgres", raising=False)

    with pytest.raises(
        ValueError, match=r"PostgreSQL needs psycopg: pip install 'psycopg\[binary\]'"
    ):
        SeenDatabase.at("postgresql://host/db")


@pytest.mark.parametrize(
    "address",
    [
        "relay:hun%ter2@127.0.0.1:1/relay",
        "relay:hun@ter2@127.0.0.1:1/relay",
        "relay:hun/ter2@127.0.0.1:1/relay",
        "relay:5432/ter2@127.0.0.1:1/relay",
        "relay:hunter2@127.0.0.1:54x/relay",
        "127.0.0.1:1/relay?passwort=hunter2",
        "relay:hunter2@[::1",
    ],
)
def test_a_wrong_url_shows_nothing_of_its_password(address: str) -> None:
    with pytest.raises(ValueError, match="it is no PostgreSQL URL; percent-encode") as caught:
        SeenDatabase.at(f"postgresql://{address}")

    told = "".join(traceback.format_exception(caught.value, limit=0))
    assert "hun" not in told
    assert "ter2" not in told


@pytest.mark.parametrize(
    "address", ["u:a%40b%2Fc%25@h:1,[::1]:2/db", "u@h?connect_timeout=1", "/db", "u%40x:p?#@h"]
)
def test_what_is_percent_encoded_is_a_url(address: str) -> None:
    SeenDatabase.at(f"postgresql://{address}")
