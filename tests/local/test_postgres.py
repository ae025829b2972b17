"""The private PostgreSQL against the real package."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import PostgresError, PrivatePostgres, ensure

REPOSITORY = Path(__file__).parents[2]
STARTED = """
import sys
from deploy.local.postgres import PrivatePostgres
server = PrivatePostgres()
server.start()
print(server.directory, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    """A server started by a user with settings of his own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGPORT", "1")
        environment.setenv("PGDATA", "/nowhere")
        with PrivatePostgres() as server:
            yield server


def test_what_was_committed_survives_a_stop_and_a_kill(server: PrivatePostgres) -> None:
    execute(server, "CREATE TABLE kept (n integer)")

    server.stop()
    server.start()
    execute(server, "INSERT INTO kept VALUES (1)")
    server.kill()
    server.start()

    assert execute(server, "TABLE kept") == [(1,)]


def test_the_url_names_any_database(server: PrivatePostgres) -> None:
    execute(server, "CREATE DATABASE other")

    with psycopg.connect(server.url_of("other")) as db:
        assert db.info.dbname == "other"


def test_nothing_listens_on_the_network(server: PrivatePostgres) -> None:
    assert execute(server, "SHOW listen_addresses") == [("",)]
    assert server.directory.stat().st_mode & 0o077 == 0


def test_a_server_is_started_only_once(server: PrivatePostgres) -> None:
    with pytest.raises(PostgresError, match="is already started"):
        server.start()


def test_a_server_that_cannot_start_shows_its_log_and_leaves_nothing() -> None:
    server = PrivatePostgres()
    with server:
        server.stop()
        (server.directory / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")

        with pytest.raises(PostgresError, match=r"did not start; .*postgres\.log ends with:\n"):
            server.start()

        assert not server.is_running
    assert not server.directory.exists()


def test_nothing_is_left_when_the_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTED],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        directory = Path(parent.stdout.readline().strip())
        assert processes_in(directory)

        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: not directory.exists())
    wait_until(lambda: not processes_in(directory))


def test_an_installed_package_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get there

    ensure()


def execute(server: PrivatePostgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url, autocommit=True) as db:
        cursor = db.execute(statement)
        return cursor.fetchall() if cursor.description else []


def processes_in(directory: Path) -> list[int]:
    """Return the processes that work in a directory, as all of a server's do."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if working_directory(process).startswith(str(directory))
    ]


def working_directory(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:  # it has just ended
        return ""


def wait_until(condition: Callable[[], bool], *, limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)
