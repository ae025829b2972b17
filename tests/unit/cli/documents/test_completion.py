"""`relay completion`, in the shells it is for: what they offer once a person presses Tab."""

import asyncio
import os
import pty
import select
import shlex
import shutil
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.cli.completing import complete_source
from tests.support.eventually import LIMIT_S
from tests.support.relay_command import RelayCommand

SETTINGS = """
[broker]
urls = ["file:/nowhere"]

[sources.acme-sales]
vendor = "swiftsell"
secrets = ["env:NOT_SET"]

[sources.acme-help]
vendor = "supporthunt"
secrets = ["env:NOT_SET"]

[sources."$(touch x)"]
vendor = "swiftsell"

[consumers.archive]
[consumers.crm-sync]
[consumers.forward.endpoints.billing]
[consumers.notify.rules.missed]
"""

SHELLS = [
    pytest.param(
        shell,
        marks=pytest.mark.skipif(not shutil.which(shell), reason=f"there is no {shell}"),
    )
    for shell in ("bash", "zsh", "fish")
]

OFFERS = {
    "relay comp": {"completion"},
    "relay completion z": {"zsh"},
    "relay completion ": {"bash", "fish", "zsh"},
    "relay completion none": set(),
    "relay send acme-s": {"acme-sales"},
    "relay send a": {"acme-sales", "acme-help", "all"},
    "relay inspect ": {"acme-sales", "acme-help"},
    "relay recent --source acme-h": {"acme-help"},
    "relay schema conversation.c": {"conversation.closed", "conversation.created"},
    "relay recent --type team": {"team_message.created"},
    "relay dead list ": {"archive", "crm-sync", "forward-billing", "notify-missed"},
    "relay replay --to c": {"crm-sync"},
    "relay tail swiftsell.note": {"swiftsell.note.created.#"},
    "relay send nobody": set(),
}
# Who names what a shell offers is tried without one. Here is what shells treat differently: one
# word, several, one after an option, one with characters of their own, and none.
IN_SHELLS = (
    *("relay comp", "relay completion ", "relay recent --source acme-h"),
    *("relay tail swiftsell.note", "relay completion none"),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder with settings, and a `relay` to find in its `bin`."""
    (tmp_path / "relay.toml").write_text(SETTINGS)
    program = tmp_path / "bin/relay"
    program.parent.mkdir()
    root = Path.cwd()
    # As pip has it: a first line with a space in the path would be cut.
    program.write_text(
        f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''\n"
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom relay.__main__ import main\nmain()\n"
    )
    program.chmod(0o755)
    return tmp_path


async def offers(shell: str, directory: Path, line: str) -> set[str]:
    """Return what a shell offers for a line, by its own means."""
    script = (await RelayCommand(Path("none.toml"))("completion", shell)).out
    (directory / "completion").write_text(script)
    words = line.split(" ")
    match shell:
        case "bash":
            text = (
                "source ./completion; "
                f"COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); COMP_CWORD={len(words) - 1}; "
                '_relay_completion relay; printf "%s\\n" "${COMPREPLY[@]}"'
            )
            arguments = ["bash", "--norc", "-c", text]
        case "fish":
            text = f"source ./completion; complete --do-complete '{line}'"
            arguments = ["fish", "--no-config", "-c", text]
        case _:
            return await zsh_offers(directory, line)
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=directory,
        env=environment(directory),
    )
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    return {found.partition("\t")[0] for found in out.decode().split("\n")} - {""}


async def zsh_offers(directory: Path, line: str) -> set[str]:
    """Press Tab in a zsh on a terminal; what it would offer is what it hands to `compadd`."""
    (directory / ".zshrc").write_text(
        "autoload -U compinit; compinit -u -C -d ../zcompdump; source ./completion\n"
        "compadd() { print -l $completions ${completions_with_descriptions%%:*} > offered.new; "
        'builtin compadd "$@" }\n'
        "_relay_done() { zle complete-word; [ -f offered.new ] || : > offered.new; "
        "mv offered.new offered }\n"
        "zle -N _relay_done; bindkey '^T' _relay_done; PROMPT='ready> '\n"
    )
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *("zsh", "-i"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=directory,
        env=environment(directory) | {"ZDOTDIR": str(directory)},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.to_thread(read_until, ours, b"ready> ")
            os.write(ours, line.encode() + b"\x14")
            await asyncio.to_thread(wait_for, directory / "offered", ours)
    finally:
        process.kill()
        await process.wait()
        os.close(ours)
    return set((directory / "offered").read_text().split("\n")) - {""}


def read_until(terminal: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 4096)


def wait_for(path: Path, terminal: int) -> None:
    while not path.exists():
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 4096)


def environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    path = f"{directory}/bin:{os.environ['PATH']}"
    return kept | {"PATH": path, "HOME": str(directory), "TERM": "xterm"}


def asked(line: str) -> tuple[set[str], str]:
    """Return what our code offers for a line, asked as bash asks it, and what it says on stderr."""
    words = line.split(" ")
    question = {"_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": line}
    question["COMP_CWORD"] = str(len(words) - 1)
    result = CliRunner().invoke(main, prog_name="relay", env=question)
    offered = {found.partition(",")[2] for found in result.stdout.splitlines()} - {""}
    return offered, result.stderr


@pytest.mark.parametrize(("line", "expected"), OFFERS.items())
def test_names_out_of_the_settings_are_offered(
    directory: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: set[str]
) -> None:
    monkeypatch.chdir(directory)

    assert asked(line) == (expected, "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", IN_SHELLS)
async def test_a_shell_offers_what_our_code_does(directory: Path, shell: str, line: str) -> None:
    assert await offers(shell, directory, line) == OFFERS[line]


@pytest.mark.parametrize("content", ["[sources", "\x00", "sources = 1", "[[sources]]\nx = 1"])
def test_settings_that_can_not_be_read_offer_nothing_and_say_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (directory / "relay.toml").write_text(content)
    monkeypatch.chdir(directory)

    assert asked("relay inspect ") == (set(), "")


async def test_a_source_that_only_the_environment_names_is_offered(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "other.toml").write_text("[sources.third]\nvendor = 'swiftsell'\n")
    monkeypatch.setenv("RELAY_SOURCES__FOURTH__VENDOR", "swiftsell")
    context = click.Context(click.Command("x"))
    context.params["config"] = directory / "other.toml"

    assert complete_source(context, click.Argument(["x"]), "") == ["third", "fourth"]


async def test_a_shell_that_is_none_of_them_is_refused() -> None:
    found = await RelayCommand(Path("none.toml"))("completion", "csh")

    assert (found.code, found.out) == (2, "")
