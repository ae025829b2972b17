"""Where a `seen` store's database is, how old its marks get, and who shares it."""

import asyncio
import sqlite3
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumers.kit.seen.database import SeenDatabase
from tests.support.eventually import LIMIT_S, eventually
from tests.support.seen_stores import Open, execute, rows_of

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
