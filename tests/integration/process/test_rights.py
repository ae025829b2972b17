"""What commands say where this user may not read or write: a sentence each, and no traceback."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay_process import NOWHERE, RelayProcess

_RIGHTS = "-dac_override,-dac_read_search"
_AS_USER = (
    ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}"] if os.geteuid() == 0 else []
)
"""Root may read and write everything, unless it gives that up."""

pytestmark = pytest.mark.skipif(
    bool(_AS_USER) and not shutil.which("setpriv"), reason="setpriv is not installed"
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


def relay(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("relay", *arguments, **environment)


def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_AS_USER, sys.executable, "-m", module, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def failure(*arguments: str, **environment: str) -> str:
    """Return the one sentence with which a command ends."""
    done = relay(*arguments, **environment)
    assert done.returncode in {1, 2}, done
    assert "Traceback" not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("relay: ")
    assert "Errno" not in sentence
    return sentence.removeprefix("relay: ")


@pytest.mark.parametrize("command", ["check", "serve", "outbox", "topology", "console"])
def test_a_settings_file_out_of_reach_is_named(settings: Path, locked: Path, command: str) -> None:
    file = settings.rename(locked / settings.name)
    locked.chmod(0)

    sentence = failure(command, RELAY_CONFIG=str(file))

    assert sentence == f"The settings file {file} can't be read: Permission denied."


def test_a_settings_file_that_may_not_be_read_is_named(settings: Path) -> None:
    settings.chmod(0)

    sentence = failure("check", RELAY_CONFIG=str(settings))

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

    sentence = failure(*command, RELAY_CONFIG=str(settings), RELAY_OUTBOX__DIRECTORY=str(directory))

    assert sentence.startswith(f"The outbox directory {directory} can't be used: Permission denied")
    assert sentence.endswith("; set outbox.directory to one that this user can write.")
    (locked).chmod(0o700)
    (locked / "outbox").chmod(0o700)


def test_the_deep_check_goes_on_behind_an_outbox_out_of_reach(settings: Path, locked: Path) -> None:
    locked.chmod(0)
    directory = locked / "outbox"

    done = relay(
        *("check", "--deep", "--offline"),
        RELAY_CONFIG=str(settings),
        RELAY_OUTBOX__DIRECTORY=str(directory),
    )

    rows = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert "Traceback" not in done.stderr
    assert ["failed", "outbox"] in rows
    assert ["failed", "fsync"] in rows
    assert "free space" in dict(map(reversed, rows))


async def test_check_finds_what_serve_would_not_be_let_write(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE, ingress={"workers": 2}):
        pass

    for name in ("outbox.db", "outbox.lock", "outbox.reserve", "worker-1/outbox.db"):
        file = tmp_path / "outbox" / name
        file.chmod(0o444)
        sentence = failure("check", "--offline", RELAY_CONFIG=str(tmp_path / "relay.toml"))
        assert f"can't be used: Permission denied ({name}); set outbox.directory to" in sentence
        file.chmod(0o644)


@pytest.mark.parametrize("command", [["outbox"], ["outbox", "list"]], ids=["summary", "list"])
async def test_a_database_that_may_not_be_read_is_named(tmp_path: Path, command: list[str]) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE):
        pass
    (tmp_path / "outbox" / "outbox.db").chmod(0)

    sentence = failure(*command, RELAY_CONFIG=str(tmp_path / "relay.toml"))

    assert sentence.startswith(f"The outbox {tmp_path}/outbox/outbox.db can't be ")
    assert sentence.endswith(
        f"; this user needs the right to read and write {tmp_path}/outbox/outbox.db."
    )


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["no rights", "read only"])
def test_a_payload_that_may_not_be_read_is_named(settings: Path, locked: Path, mode: int) -> None:
    payload = locked / "payload.json"
    payload.touch()
    locked.chmod(mode)

    sentence = failure("inspect", "swiftsell", str(payload), RELAY_CONFIG=str(settings))

    assert sentence == f"The file {payload} can't be read: Permission denied."


@pytest.mark.parametrize("command", [["inspect", "swiftsell"], ["test"]], ids=["inspect", "test"])
def test_payloads_that_may_be_listed_and_not_read_are_no_success(
    settings: Path, locked: Path, command: list[str]
) -> None:
    (locked / "payload.json").touch()
    locked.chmod(0o400)

    done = relay(*command, str(locked), RELAY_CONFIG=str(settings))

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "payload.json can't be read: Permission denied." in done.stdout


@pytest.mark.parametrize("mode", [0o000, 0o500], ids=["no rights", "read only"])
def test_an_archive_that_may_not_be_written_is_named(
    settings: Path, locked: Path, mode: int
) -> None:
    locked.chmod(mode)
    database = f"sqlite:{locked}/archive.db"

    done = run(
        "consumers.archive",
        RELAY_CONFIG=str(settings),
        RELAY_CONSUMERS__ARCHIVE__DATABASE=database,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"archive: The archive {locked}/archive.db can't be opened: ")
    assert done.stderr.endswith(f"; this user needs the right to read and write {locked}.\n")


@pytest.mark.parametrize("command", [["outbox"], ["outbox", "list"]], ids=["summary", "list"])
def test_where_no_outbox_is_no_command_shows_an_empty_one(
    settings: Path, command: list[str]
) -> None:
    sentence = failure(*command, RELAY_CONFIG=str(settings))

    assert sentence == f"There is no outbox in {settings.parent}/outbox."
