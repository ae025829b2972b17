"""What is said where senders' libraries can't be had."""

import shutil
from pathlib import Path

import pytest

from deploy.local import sender_sdks


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_sdks, "DIRECTORY", tmp_path / "sdk")


@pytest.mark.usefixtures("nothing_installed")
def test_without_node_it_says_what_to_install_and_that_tests_will_be_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    sender_sdks.ensure("node")

    (line,) = capsys.readouterr().err.splitlines()
    assert "will be skipped" in line
    assert "apt-get install nodejs npm" in line
    assert not sender_sdks.is_installed("node")


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_installed_is_so_until_a_list_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    shutil.copytree(sender_sdks.LISTS, lists)
    monkeypatch.setattr(sender_sdks, "LISTS", lists)
    lock = lists / "requirements.lock"
    lock.write_text("")  # nothing to install, which needs no registry

    sender_sdks.ensure("python")
    assert sender_sdks.is_installed("python")
    lock.write_text("# another\n")

    assert not sender_sdks.is_installed("python")


@pytest.mark.usefixtures("nothing_installed")
def test_a_wrong_digest_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_sdks, "LISTS", tmp_path)
    wheel = tmp_path / "none-1-py3-none-any.whl"
    wheel.write_bytes(b"another")
    lock = f"none @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n"
    (tmp_path / "requirements.lock").write_text(lock)

    with pytest.raises(sender_sdks.WrongDigestError, match="DO NOT MATCH THE HASHES"):
        sender_sdks.ensure("python")

    assert not sender_sdks.is_installed("python")
