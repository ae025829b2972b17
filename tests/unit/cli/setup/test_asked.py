"""`relay init` asks a person for what no flag says."""

import asyncio
import os
import pty
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.configured import sources_of
from relay.settings import load
from tests.support.cli.new_settings import (
    files_in,
    text_of,
)
from tests.support.eventually import LIMIT_S
from tests.support.relay_command import RelayCommand


async def test_a_person_is_asked(relay: RelayCommand, config: Path, tmp_path: Path) -> None:
    answers = "acquire\nacme\nnew\n\n"

    result = await relay("init", stdin=answers.encode())

    assert result.code == 0, result.err
    section: dict[str, Any] = tomllib.loads(text_of(config))["sources"]["acme"]
    assert section == {"vendor": "acquire", "secrets": [f"file:{tmp_path}/secrets/acme"]}
    assert load(config).broker.urls == ["amqp://guest:guest@127.0.0.1:5672/"]
    assert (await relay("check", "--offline")).code == 0
    assert "Vendor" not in result.out  # only what to do is there, for a pipe


async def test_what_a_flag_says_is_not_asked(relay: RelayCommand, config: Path) -> None:
    given = ("--vendor", "line", "--broker", "amqp://guest:guest@127.0.0.1:5672/")

    result = await relay("init", *given, stdin=b"support\nthe-channel-secret\n")

    assert result.code == 0, result.err
    assert sources_of(load(config))["support"].secrets.values == ("the-channel-secret",)


async def test_a_preset_and_its_public_url_are_asked_for(relay: RelayCommand, config: Path) -> None:
    answers = "generic\ntwilio\n\nhooks\nhttps://hooks.example.com/\nauth-token\n\n"

    result = await relay("init", stdin=answers.encode())

    assert result.code == 0, result.err
    section = tomllib.loads(text_of(config))["sources"]["twilio"]
    assert section["preset"] == "twilio"
    assert section["verify"] == {"public_url": "https://hooks.example.com/in/twilio"}


async def test_a_wrong_answer_is_asked_again(relay: RelayCommand, config: Path) -> None:
    answers = (
        "nobody\nacquire\nAcme\nacme\nenv:NOT_SET\nown-secret\n"
        "http://rabbit\namqp://relay:pw@rabbit/\n"
    )

    result = await relay("init", stdin=answers.encode())

    assert result.code == 0, result.err
    for said in ("'nobody' is none of", "'Acme' is no name", "NOT_SET is not set", "amqp://user"):
        assert said in result.err
    assert sources_of(load(config))["acme"].secrets.values == ("own-secret",)


@pytest.mark.parametrize("lines", range(4))
async def test_who_stops_answering_leaves_nothing(
    relay: RelayCommand, tmp_path: Path, lines: int
) -> None:
    answers = "".join(["acquire\n", "acme\n", "new\n", "\n"][:lines])

    result = await relay("init", stdin=answers.encode())

    assert result.code == 1
    assert [*files_in(tmp_path)] == []


async def test_a_secret_that_is_typed_is_not_shown(config: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    given = ("--vendor", "line", "--source", "line", "--broker", "amqp://guest:guest@127.0.0.1/")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay", "init", *given),
        stdin=theirs,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        start_new_session=True,
    )
    os.close(theirs)
    assert process.stderr
    try:
        async with asyncio.timeout(LIMIT_S):
            # Only then: what was typed before it asks is thrown away.
            await process.stderr.readuntil(b"not known yet: ")
            os.write(ours, b"typed-secret\n")
            await process.stderr.read()
            assert await process.wait() == 0
        shown = os.read(ours, 65_536)
    finally:
        os.close(ours)

    assert sources_of(load(config))["line"].secrets.values == ("typed-secret",)
    assert b"relay.toml" in shown
    assert b"typed-secret" not in shown
