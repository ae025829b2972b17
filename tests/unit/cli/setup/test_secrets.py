"""What `relay init` does with secrets, and what it refuses."""

import tomllib
from pathlib import Path

import pytest

from relay.configured import sources_of
from relay.settings import load
from tests.support.cli.new_settings import files_in, flags, text_of
from tests.support.relay_command import RelayCommand


@pytest.mark.parametrize("reference", ["env:ACME_SECRET", "file:acme.key"])
async def test_a_secret_may_lie_elsewhere(
    relay: RelayCommand,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reference: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_SECRET", "elsewhere-secret")
    (tmp_path / "acme.key").write_text("elsewhere-secret\n")

    result = await relay("init", "--yes", "--vendor", "acquire", "--secret", reference)

    assert result.code == 0, result.err
    monkeypatch.chdir("/")  # where it is started does not matter
    assert sources_of(load(config))["acquire"].secrets.values == ("elsewhere-secret",)
    assert not (tmp_path / "secrets").exists()
    assert "elsewhere-secret" not in result.out + text_of(config)


async def test_a_secret_may_come_through_stdin(relay: RelayCommand, config: Path) -> None:
    words = ("init", "--yes", "--vendor", "intercom", "--secret", "-")

    result = await relay(*words, stdin=b"from-the-hub\n")

    assert sources_of(load(config))["intercom"].secrets.values == ("from-the-hub",)
    assert "from-the-hub" not in result.out + result.err + text_of(config)


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["--secret", "hunter2"], b"", "Others can see what is on a command line"),
        (["--secret", "env:NOT_SET"], b"", "the environment variable NOT_SET is not set"),
        (["--secret", "file:nowhere"], b"", "/nowhere can't be read"),
        (["--secret", "-"], b" \n", "It is empty"),
        (["--broker", "http://rabbit"], b"", "must be amqp://"),
        (["--source", "Acme"], b"", "'Acme' is no name"),
        (["--source", "../acme"], b"", "is no name"),
        (["--vendor", "nobody"], b"", "'nobody' is none of acquire"),
        (["--preset", "stripe"], b"", "As preset of swiftsell: remove it"),
        (["--vendor", "generic", "--preset", "nobody"], b"", "As preset of generic: 'nobody'"),
        (["--vendor", "twilio"], b"", "--yes needs --public-url"),
        (["--vendor", "twilio", "--public-url", "hooks"], b"", "It must be like https://"),
        (["--vendor", "twilio", "--public-url", "https://h/?a=1"], b"", "It must be like https://"),
        (["--vendor", "freshchat"], b"", "sources.freshchat.secrets"),
    ],
)
async def test_what_can_not_be_is_refused_before_anything_is_written(
    relay: RelayCommand, tmp_path: Path, words: list[str], stdin: bytes, said: str
) -> None:
    given = words if "--vendor" in words else ["--vendor", "swiftsell", *words]

    result = await relay("init", "--yes", *given, stdin=stdin)

    assert result.code == 2
    assert said in result.err
    assert "hunter2" not in result.out + result.err
    assert [*files_in(tmp_path)] == []


async def test_yes_needs_a_vendor(relay: RelayCommand) -> None:
    result = await relay("init", "--yes")

    assert result.code == 2
    assert "--yes needs --vendor" in result.err


async def test_a_password_of_the_broker_goes_into_a_file_of_its_own(
    relay: RelayCommand, config: Path, tmp_path: Path
) -> None:
    url = "amqps://relay:hunter2@rabbit.example.com/chat"

    result = await relay("init", *flags(tmp_path, "acquire"), "--broker", url)

    assert "hunter2" not in result.out + result.err + text_of(config)
    assert load(config).broker.urls == [f"file:{tmp_path}/secrets/broker.url"]
    assert (tmp_path / "secrets/broker.url").read_text().strip() == url


async def test_a_broker_that_the_environment_names_stays_there(
    relay: RelayCommand, config: Path, tmp_path: Path
) -> None:
    url = "amqp://relay:hunter2@rabbit.example.com/"

    await relay("init", *flags(tmp_path, "acquire"), RELAY_BROKER__URLS=url)

    assert "broker" not in tomllib.loads(text_of(config))
