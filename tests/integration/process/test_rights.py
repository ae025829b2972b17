"""What commands say where this user may not read or write: a sentence each, and no traceback."""

import asyncio
import ctypes
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.relay_command import RelayCommand, Result
from tests.support.relay_process import NOWHERE, RelayProcess, nothing_set_outside

# Root may read and write everything, unless it gives that up.
IS_ROOT = os.geteuid() == 0
_RIGHTS = "-dac_override,-dac_read_search"
_AS_USER = ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}"] if IS_ROOT else []

pytestmark = pytest.mark.skipif(
    IS_ROOT and not shutil.which("setpriv"), reason="setpriv is not installed"
)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file whose outbox is in `outbox`, with ports that are free."""
    RelayProcess(tmp_path, broker_url=NOWHERE)
    return tmp_path / "relay.toml"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A directory that nobody may enter."""
    path = tmp_path / "locked"
    path.mkdir()
    yield path
    path.chmod(0o700)


@pytest.fixture(scope="module")
def used_outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a relay that has run with two workers, and of its settings."""
    directory = tmp_path_factory.mktemp("used")

    async def use() -> None:
        async with RelayProcess(directory, broker_url=NOWHERE, ingress={"workers": 2}):
            pass

    with nothing_set_outside():
        asyncio.run(use())
    return directory


@contextmanager
def mode_of(path: Path, mode: int) -> Iterator[None]:
    """Give a file another mode for a while."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def give_up_rights() -> None:
    """Leave this thread, and those it starts, no more rights than any user has.

    A program that it starts has all of root's again.
    """
    version_3_and_this_thread = struct.pack("Ii", 0x20080522, 0)  # capset(2)
    nothing = bytes(24)
    assert ctypes.CDLL(None).capset(version_3_and_this_thread, nothing) == 0


def relay(*arguments: str, config: Path, **environment: str) -> Result:
    """Run a command as a user would: `serve`, which expects a process of its own, in one."""
    if arguments[0] == "serve":
        return run("relay", *arguments, config=config, **environment)
    with ThreadPoolExecutor(1, initializer=give_up_rights) as executor:
        asked = RelayCommand(config)(*arguments, **environment)
        return executor.submit(asyncio.run, asked).result()


def run(module: str, *arguments: str, config: Path, **environment: str) -> Result:
    """Run a program as a user would."""
    done = subprocess.run(
        [*_AS_USER, sys.executable, "-m", module, *arguments, "--config", str(config)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def failure(*arguments: str, config: Path, **environment: str) -> str:
    """Return the one sentence with which a command ends."""
    done = relay(*arguments, config=config, **environment)
    assert done.code in {1, 2}, done
    assert "Traceback" not in done.err
    sentence = done.err.splitlines()[-1]
    assert sentence.startswith("relay: ")
    assert "Errno" not in sentence
    return sentence.removeprefix("relay: ")


@pytest.mark.parametrize("command", ["check", "serve", "outbox", "topology", "console"])
def test_a_settings_file_out_of_reach_is_named(settings: Path, locked: Path, command: str) -> None:
    file = settings.rename(locked / settings.name)
    locked.chmod(0)

    sentence = failure(command, config=file)

    assert sentence == f"The settings file {file} can't be read: Permission denied."


def test_a_settings_file_that_may_not_be_read_is_named(settings: Path) -> None:
    settings.chmod(0)

    sentence = failure("check", config=settings)

    assert sentence == f"{settings} can't be read: Permission denied."


@pytest.mark.parametrize("mode", [0o000, 0o500], ids=["no rights", "read only"])
@pytest.mark.parametrize("below", [".", "outbox", "a/b"])
@pytest.mark.parametrize("command", [["check", "--offline"], ["serve"]], ids=["check", "serve"])
def test_an_outbox_directory_that_may_not_be_written_is_named(
    settings: Path, locked: Path, command: list[str], below: str, mode: int
) -> None:
    directory = locked / below
    (locked / "outbox").mkdir(exist_ok=True)
    for path in (locked / "outbox", locked):
        path.chmod(mode)

    sentence = failure(*command, config=settings, RELAY_OUTBOX__DIRECTORY=str(directory))

    assert sentence.startswith(f"The outbox directory {directory} can't be used: Permission denied")
    assert sentence.endswith("; set outbox.directory to one that this user can write.")
    (locked).chmod(0o700)
    (locked / "outbox").chmod(0o700)


def test_the_deep_check_goes_on_behind_an_outbox_out_of_reach(settings: Path, locked: Path) -> None:
    locked.chmod(0)
    directory = locked / "outbox"

    done = relay(
        *("check", "--deep", "--offline"),
        config=settings,
        RELAY_OUTBOX__DIRECTORY=str(directory),
    )

    rows = [line.split("\t")[:2] for line in done.out.splitlines()]
    assert "Traceback" not in done.err
    assert ["failed", "outbox"] in rows
    assert ["failed", "fsync"] in rows
    assert "free space" in dict(map(reversed, rows))


@pytest.mark.parametrize("name", ["outbox.db", "outbox.lock", "outbox.reserve"])
@pytest.mark.parametrize("worker", ["", "worker-1/"])
def test_check_finds_what_serve_would_not_be_let_write(
    used_outbox: Path, worker: str, name: str
) -> None:
    with mode_of(used_outbox / "outbox" / worker / name, 0o444):
        sentence = failure("check", "--offline", config=used_outbox / "relay.toml")

    assert f"can't be used: Permission denied ({worker}{name}); set outbox.directory to" in sentence


@pytest.mark.parametrize("command", [["outbox"], ["outbox", "list"]], ids=["summary", "list"])
def test_a_database_that_may_not_be_read_is_named(used_outbox: Path, command: list[str]) -> None:
    database = used_outbox / "outbox/outbox.db"

    with mode_of(database, 0):
        sentence = failure(*command, config=used_outbox / "relay.toml")

    assert sentence.startswith(f"The outbox {database} can't be ")
    assert sentence.endswith(f"; this user needs the right to read and write {database}.")


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["no rights", "read only"])
def test_a_payload_that_may_not_be_read_is_named(settings: Path, locked: Path, mode: int) -> None:
    payload = locked / "payload.json"
    payload.touch()
    locked.chmod(mode)

    sentence = failure("inspect", "swiftsell", str(payload), config=settings)

    assert sentence == f"The file {payload} can't be read: Permission denied."


@pytest.mark.parametrize("command", [["inspect", "swiftsell"], ["test"]], ids=["inspect", "test"])
def test_payloads_that_may_be_listed_and_not_read_are_no_success(
    settings: Path, locked: Path, command: list[str]
) -> None:
    (locked / "payload.json").touch()
    locked.chmod(0o400)

    done = relay(*command, str(locked), config=settings)

    assert done.code == 1
    assert "Traceback" not in done.err
    assert "payload.json can't be read: Permission denied." in done.out


@pytest.mark.parametrize("mode", [0o000, 0o500], ids=["no rights", "read only"])
def test_an_archive_that_may_not_be_written_is_named(
    settings: Path, locked: Path, mode: int
) -> None:
    locked.chmod(mode)
    database = f"sqlite:{locked}/archive.db"

    done = run(
        "consumers.archive",
        config=settings,
        RELAY_CONSUMERS__ARCHIVE__DATABASE=database,
    )

    assert done.code == 1
    assert done.err.startswith(f"archive: The archive {locked}/archive.db can't be opened: ")
    assert done.err.endswith(f"; this user needs the right to read and write {locked}.\n")


@pytest.mark.parametrize("command", [["outbox"], ["outbox", "list"]], ids=["summary", "list"])
def test_where_no_outbox_is_no_command_shows_an_empty_one(
    settings: Path, command: list[str]
) -> None:
    sentence = failure(*command, config=settings)

    assert sentence == f"There is no outbox in {settings.parent}/outbox."
