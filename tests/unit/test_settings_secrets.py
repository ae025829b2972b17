"""Where a secret comes from, and that it shows nowhere else."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from relay import broker_url
from relay.errors import SettingsError
from relay.settings import load
from relay.settings_file import resolve_secrets

SECRET = "hunter2-hunter2"
SOURCE = '[sources.acme]\nvendor = "swiftsell"\n'


pytestmark = pytest.mark.usefixtures("in_empty_directory")


@pytest.mark.parametrize("secret", ["", "env:EMPTY", "file:empty"])
def test_an_empty_secret_would_let_everyone_in(
    secret: str, written: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", " \n")
    written("").with_name("empty").write_text("\n")

    with pytest.raises(SettingsError) as caught:
        load(written(SOURCE + f'secrets = ["a", "{secret}"]\n'))

    [problem] = caught.value.problems
    assert problem.startswith("sources.acme.secrets: ")
    assert problem.endswith(" is empty.")


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("file:nowhere", "the file nowhere can't be read"),
        ("file:.", "the file . can't be read"),
        ("file:latin", "the file latin can't be read"),
        ("env:", "the environment variable  is not set"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why(secret: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff")

    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        resolve_secrets([secret])


def test_a_secret_that_is_not_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"LATIN", b"Z\xfcrich")

    with pytest.raises(ValueError, match="UTF-8") as caught:
        resolve_secrets(["env:LATIN", "Z\udcfcrich"])

    assert str(caught.value) == "the environment variable LATIN is not UTF-8; one is not UTF-8"


def test_a_secret_is_itself_or_in_the_environment_or_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", " from-env\n")
    (tmp_path / "token").write_text("from-file\n")

    found = resolve_secrets(["literal", "a:b", "env:TOKEN", f"file:{tmp_path}/token"])

    assert found == ["literal", "a:b", "from-env", "from-file"]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + f'secrets = ["{SECRET}"]\ninsecure = true\n',
        SOURCE + f'secrets = "[{SECRET}"\n',
        SOURCE + f'secrets = {{a = "{SECRET}"}}\n',
        SOURCE + f'secrets = [["{SECRET}"]]\n',
        SOURCE + f'secrets = ["{SECRET}"]\n[ingress]\nport = "x"\n',
        f'[sources]\nacme = "{SECRET}"\n',
        f'[sources.acme]\nvendor = "nope"\nsecrets = ["{SECRET}"]\n',
        f'[sources.acquire]\nvendor = "acquire"\nsecrets = ["{SECRET}"]\necho = "json"\n',
        f'[broker]\nurls = ["http://user:{SECRET}@host/"]\n',
    ],
)
def test_no_secret_is_in_the_text_of_an_error(text: str, written: Callable[[str], Path]) -> None:
    path = written(text)

    with pytest.raises(SettingsError) as caught:
        load(path)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_secret_is_in_the_text_of_the_settings(written: Callable[[str], Path]) -> None:
    found = load(written(SOURCE + f'secrets = ["{SECRET}"]\n'))

    assert SECRET not in f"{found} {found!r} {found.sources['acme']}"


def test_no_password_of_the_broker_is_in_the_text_of_the_settings(
    written: Callable[[str], Path],
) -> None:
    found = load(written(f'[broker]\nurls = ["amqp://user:{SECRET}@host/"]\n'))

    assert SECRET not in f"{found} {found!r} {found.broker}"


def test_the_url_of_the_broker_may_lie_in_a_file_and_is_read_when_it_is_used(
    written: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("amqp://user:before@host/\n")
    kept_in = f"file:{tmp_path / 'url'}"

    found = load(written(f'[broker]\nurls = ["{kept_in}", "amqp://b/"]\n'))
    (tmp_path / "url").write_text(f"amqp://user:{SECRET}@host/\n")

    assert found.broker.urls == [kept_in, "amqp://b/"]
    assert [broker_url.read(url) for url in found.broker.urls] == [
        f"amqp://user:{SECRET}@host/",
        "amqp://b/",
    ]
    assert SECRET not in f"{found}"


def test_a_url_in_a_file_that_is_missing_is_a_problem(written: Callable[[str], Path]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written('[broker]\nurls = ["file:/nowhere/url"]\n'))

    (problem,) = caught.value.problems
    assert problem.startswith("broker.urls: the file /nowhere/url can't be read")


def test_a_byte_order_mark_is_no_part_of_a_secret(
    written: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_bytes(b"\xef\xbb\xbfamqp://user:secret@host/\r\n")
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbffrom-file\r\n")
    monkeypatch.setenv("TOKEN", "\ufefffrom-env\r\n")

    found = resolve_secrets(["\ufeffliteral", "env:TOKEN", f"file:{tmp_path}/token"])

    assert found == ["literal", "from-env", "from-file"]
    load(written(f'[broker]\nurls = ["file:{tmp_path}/url"]\n'))
    assert broker_url.read(f"file:{tmp_path}/url") == "amqp://user:secret@host/"


def test_a_byte_order_mark_is_no_part_of_a_list_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELAY_BROKER__URLS", "\ufeffamqp://a/,amqp://b/")

    assert load().broker.urls == ["amqp://a/", "amqp://b/"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_secret_in_another_encoding_is_a_problem_that_says_what_to_do(
    encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_bytes(f"{SECRET}\xff".encode(encoding))

    with pytest.raises(ValueError, match="save it as UTF-8") as caught:
        resolve_secrets([f"file:{path}"])

    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)
