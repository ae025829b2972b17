"""A private PostgreSQL server from the installed Debian package, for tests.

It listens only on a socket in a directory of its own, signals only what it has started, and leaves
nothing behind. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

from deploy.local import package
from deploy.local.private_server import Guard, eventually

INSTALL_ADVICE = "No PostgreSQL was found: run `sudo apt-get install postgresql`."

_PACKAGE = "postgresql"
# Without this, the package creates a database for the whole machine when it is installed.
_NO_CLUSTER = {
    "/etc/postgresql-common/createcluster.d/relay.conf": "create_main_cluster = off\n",
}
_VERSIONS = Path("/usr/lib/postgresql")
_USER = "postgres"
_PORT = 5432  # of a socket, a part of its name
_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 30.0
_LOG_TAIL_LINES = 12
_SETTINGS = {
    "port": str(_PORT),
    "listen_addresses": "",
    "shared_buffers": "64MB",
    # Not in /dev/shm, where it would outlive a server that is killed.
    "dynamic_shared_memory_type": "mmap",
    # A process that is killed leaves its writes with the kernel. Only a power cut takes them.
    "fsync": "off",
    "full_page_writes": "off",
}
# SIGQUIT ends a server at once, but lets it release its shared memory.
_CLEAN_UP = """\
directory=$1
shift
for server; do
    kill -QUIT "$server"
    for _ in $(seq 100); do kill -0 "$server" && sleep 0.1; done
done
rm -rf "$directory"
"""


class PostgresError(Exception):
    """There is no usable PostgreSQL; the message says why, and what to do."""


class PrivatePostgres:
    """A PostgreSQL server of our own, in a new directory that is gone at the end.

    PostgreSQL refuses to be root; for root it runs as the user `postgres` of the package.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
        self._user = _USER if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self._alive = -1
        self._guard = self._new_guard()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of the default database, the same after a restart."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}@/{database}?host={quote(str(self.directory))}&port={_PORT}"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and neither stopped nor killed since."""
        return self._server is not None

    def start(self) -> None:
        """Start the server, on the data it had, and return once it accepts connections.

        Raises:
            PostgresError: It did not start; the message holds the end of its log. Nothing runs on.
        """
        if self._server:
            raise PostgresError(f"The private PostgreSQL in {self.directory} is already started.")
        programs = programs_folder()
        if programs is None:
            raise PostgresError(INSTALL_ADVICE)
        if not self._data.exists():
            self._make_database(programs)
        try:
            self._wait_until_ready(programs, self._launch(programs))
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the server cleanly: connections are cut, what was committed stays."""
        if self._server:
            self._server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_LIMIT_S)
        self.kill()

    def kill(self) -> None:
        """End the server by SIGKILL; what was committed stays."""
        if self._server is None:
            return
        self._server.kill()
        self._guard.disarm()  # before the server is reaped: after that, its id may be reused
        self._guard = self._new_guard()
        self._server.wait()
        self._server = None
        # Its children notice and end by themselves; until then no other server can start.
        select.select([self._alive], [], [], _STOP_LIMIT_S)
        os.close(self._alive)

    def close(self) -> None:
        """Stop the server, and remove its data."""
        self.stop()
        self._guard.disarm()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "postgres.log"

    def _new_guard(self) -> Guard:
        return Guard("/bin/sh", "-c", _CLEAN_UP, "guard", str(self.directory))

    def _make_database(self, programs: Path) -> None:
        if self._user:
            shutil.chown(self.directory, self._user)
        arguments = ("--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--no-locale")
        initdb = self._spawn(programs / "initdb", "--no-sync", *arguments, str(self._data))
        if initdb.wait():
            raise PostgresError(f"initdb failed; {self._log_end()}")

    def _launch(self, programs: Path) -> subprocess.Popen[bytes]:
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        sockets = f"--unix_socket_directories={self.directory}"
        # The server and all its children hold this pipe open for as long as they live.
        self._alive, held = os.pipe()
        try:
            self._server = self._spawn(
                programs / "postgres", "-D", str(self._data), sockets, *settings, keep=(held,)
            )
        finally:
            os.close(held)
        self._guard.watch(str(self._server.pid))
        return self._server

    def _spawn(
        self, program: Path, *arguments: str, keep: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  the package's own programs, no shell
                [program, *arguments],
                cwd=self.directory,
                env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},  # nothing of the user's
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=keep,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                start_new_session=True,  # Ctrl-C reaches only us, and we stop the server in order
            )

    def _wait_until_ready(self, programs: Path, server: subprocess.Popen[bytes]) -> None:
        def is_ready() -> bool:
            address = ("--host", str(self.directory), "--port", str(_PORT))
            return not self._spawn(programs / "pg_isready", "--quiet", *address).wait()

        eventually(lambda: server.poll() is not None or is_ready(), _START_LIMIT_S)
        if server.poll() is not None or not is_ready():
            raise PostgresError(f"PostgreSQL did not start; {self._log_end()}")

    def _log_end(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line]
        return f"{self._log} ends with:\n" + "\n".join(lines[-_LOG_TAIL_LINES:])


def programs_folder() -> Path | None:
    """Return the folder with the programs of the newest installed PostgreSQL server."""
    found = [path.parent for path in _VERSIONS.glob("*/bin/postgres") if path.parts[-3].isdigit()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def ensure() -> None:
    """Install the Debian package if it is missing; start nothing.

    Raises:
        PostgresError: It can't be installed here; the message says what to do.
    """
    if programs_folder():
        return
    try:
        package.install(_PACKAGE, units=["postgresql.service"], files=_NO_CLUSTER)
    except package.PackageError as error:
        raise PostgresError(f"{INSTALL_ADVICE} {error}".rstrip()) from error


def main() -> int:
    """Make sure that a private server can be started."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.postgres", description=__doc__)
    parser.add_argument(
        "--ensure", action="store_true", required=True, help="install PostgreSQL if there is none"
    )
    parser.parse_args()
    try:
        ensure()
    except PostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
