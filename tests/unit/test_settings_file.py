"""Which file the settings come from, and what is said when it can't be used."""

import os
from pathlib import Path

import pytest

from relay.errors import SettingsError
from relay.settings import Settings, load

pytestmark = pytest.mark.usefixtures("in_empty_directory")


def test_a_file_is_named_or_in_the_environment_or_relay_toml(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "relay.toml").write_text("[admin]\nport = 1\n")
    (tmp_path / "other.toml").write_text("[admin]\nport = 2\n")
    named = tmp_path / "named.toml"
    named.write_text("[admin]\nport = 3\n")

    by_default = load()
    monkeypatch.setenv("RELAY_CONFIG", "other.toml")
    by_environment = load()
    by_name = load(named)

    assert [found.admin.port for found in (by_default, by_environment, by_name)] == [1, 2, 3]


def test_every_load_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[admin]\nport = 1\n")

    first, second = load(path), load()

    assert (first.admin.port, second.admin.port) == (1, 9090)
    assert isinstance(first, Settings)
    assert Settings.file is None


@pytest.mark.parametrize(
    ("content", "words"), [(b"not toml [", "is not TOML"), (b"a = '\xff'", "can't be read")]
)
def test_a_file_that_is_no_toml_is_a_problem(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)

    with pytest.raises(SettingsError, match=words) as caught:
        load(path)

    assert "broken.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 300, "File name too long"),
        ("file/relay.toml", "Not a directory"),
        ("loop.toml", "Too many levels of symbolic links"),
        ("dangling.toml", "does not exist"),
        ("directory", "is no regular file"),
    ],
)
@pytest.mark.parametrize("is_named", [True, False], ids=["option", "environment"])
def test_a_file_that_can_not_be_found_is_a_problem(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "dangling.toml").symlink_to("nowhere")
    path = tmp_path / name
    monkeypatch.setenv("RELAY_CONFIG", str(path))

    with pytest.raises(SettingsError) as caught:
        load(path if is_named else None)

    (problem,) = caught.value.problems
    assert problem.startswith(f"The settings file {path} ")
    assert words in problem
    assert "Errno" not in problem


def test_a_default_file_that_can_not_be_read_is_no_missing_one() -> None:
    Path("relay.toml").symlink_to("relay.toml")

    with pytest.raises(SettingsError, match=r"relay\.toml can't be read: Too many levels"):
        load()


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbf[admin]\r\nport = 1\r\n")

    assert load(path).admin.port == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_another_encoding_is_a_problem_that_says_what_to_do(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes("[admin]\nport = 1\n".encode(encoding))

    with pytest.raises(SettingsError, match="save it as UTF-8") as caught:
        load(path)

    assert "settings.toml" in str(caught.value)


def test_a_directory_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=str(tmp_path)):
        load(tmp_path)


def test_a_file_that_is_no_plain_file_is_not_passed_over() -> None:
    reading, writing = os.pipe()  # what `--config <(envsubst < template)` names
    os.write(writing, b"[admin]\nport = 7\n")
    os.close(writing)

    try:
        port = load(Path(f"/dev/fd/{reading}")).admin.port
    except SettingsError:
        port = 7  # saying no is fine, too

    assert port == 7


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_CONFIG", "nowhere.toml")

    with pytest.raises(SettingsError, match=r"nowhere\.toml does not exist"):
        load()
