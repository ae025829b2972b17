"""`relay init` overwrites nothing, and leaves all of it or nothing."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from relay.settings import load
from tests.support.cli.new_settings import files_in, flags
from tests.support.relay_command import RelayCommand


@pytest.mark.parametrize("name", ["relay.toml", "secrets/acme-1", "secrets/broker.url"])
@pytest.mark.parametrize("kind", ["file", "link", "link to nowhere", "folder"])
async def test_what_is_there_stays_as_it_is(
    relay: RelayCommand, tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / "secrets").mkdir(mode=0o750)
    taken = tmp_path / name
    match kind:
        case "file":
            taken.write_text("mine")
        case "link":
            (tmp_path / "other").write_text("mine")
            taken.symlink_to(tmp_path / "other")
        case "link to nowhere":
            taken.symlink_to(tmp_path / "nowhere")
        case _:
            taken.mkdir()
    before = [*files_in(tmp_path)]

    broker = ("--broker", "amqp://relay:pw@rabbit/")
    result = await relay("init", *flags(tmp_path, "swiftsell"), *broker)

    assert result.code == 1
    assert f"{taken} is there already, and stays as it is" in result.err
    assert [*files_in(tmp_path)] == before
    assert not (tmp_path / "nowhere").exists()


async def test_a_second_source_can_be_written_beside(relay: RelayCommand, tmp_path: Path) -> None:
    await relay("init", *flags(tmp_path, "swiftsell"))

    other = ("--yes", "--vendor", "acquire", "--config", str(tmp_path / "other.toml"))
    result = await relay("init", *other)

    assert result.code == 0, result.err
    assert f"relay serve --config {tmp_path}/other.toml" in result.out
    assert list(load(tmp_path / "relay.toml").sources) == ["acme-1"]
    assert list(load(tmp_path / "other.toml").sources) == ["acquire"]


@pytest.mark.parametrize(
    "path", ["nowhere/relay.toml", "a-file/relay.toml", f"{'x' * 300}/relay.toml", "x" * 300]
)
async def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").write_text("")

    result = await RelayCommand(tmp_path / path)("init", "--yes", "--vendor", "swiftsell")

    assert result.code == 1
    assert "can't be written: " in result.err
    assert result.err.count("\n") == 1
    assert [name for name, *_ in files_in(tmp_path)] == ["a-file"]


def test_half_of_it_is_nothing(tmp_path: Path) -> None:
    def full() -> None:  # a disk with room for a secret, but not for the settings
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run(
        [sys.executable, "-B", "-m", "relay", "init", "--yes", "--vendor", "swiftsell"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        preexec_fn=full,
        check=False,
    )

    assert done.returncode == 1
    assert "relay.toml can't be written: File too large. Nothing was kept." in done.stderr
    assert [*tmp_path.iterdir()] == []
