"""The consumers in other languages build, and read a relay's events."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection

from tests.interop import nodejs
from tests.interop.conftest import SendAll, is_consumed, read_messages, running, waiting_in
from tests.support.eventually import eventually

EXAMPLES = Path("consumers/examples").absolute()
_BUILD_LIMIT_S = 240
_OUT_OF_REACH = ("dial tcp", "no such host", "Could not transfer artifact", "Unknown host")


def build(*command: str, directory: Path, **variables: str) -> None:
    """Run a build; skips the test where its packages are out of reach."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=_BUILD_LIMIT_S,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode and any(words in said for words in _OUT_OF_REACH):
        pytest.skip(f"{command[0]} can't get its packages here: {said.strip()[:200]}")
    assert done.returncode == 0, said


def copy_of(name: str, directory: Path, *programs: str) -> Path:
    """Copy an example, so that nothing is built in the checkout; skips without its programs."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    return shutil.copytree(
        EXAMPLES / name,
        directory / name,
        ignore=shutil.ignore_patterns("node_modules", "target"),
    )


def node(directory: Path) -> list[str]:
    place = copy_of("node", directory)
    nodejs.install(place, EXAMPLES / "node")
    return ["node", str(place / "reader.js")]


def go(directory: Path) -> list[str]:
    place = copy_of("go", directory, "go")
    # No other toolchain is downloaded than the one that is there.
    build("go", "vet", ".", directory=place, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly")
    build("go", "build", "-o", "reader", ".", directory=place, GOTOOLCHAIN="local")
    return [str(place / "reader")]


def java(directory: Path) -> list[str]:
    place = copy_of("java", directory, "java", "mvn")
    build("mvn", "--quiet", "--batch-mode", "package", directory=place)
    return ["java", "-cp", f"{place}/target/classes:{place}/target/dependency/*", "Reader"]


@pytest.mark.parametrize("prepare", [node, go, java])
async def test_it_reads_the_events_of_its_patterns_and_acknowledges_them(
    prepare: Callable[[Path], list[str]],
    send_all: SendAll,
    environment: dict[str, str],
    connection: AbstractConnection,
    tmp_path: Path,
) -> None:
    command = prepare(tmp_path)
    queue = environment["QUEUE"]

    async with running(*command, PATTERNS="*.message.#", **environment) as program:
        await read_messages(program, send_all, connection, queue)
        await program.stop()

    await eventually(lambda: is_left(connection, queue))
    # One may have been printed and not acknowledged when the program was stopped.
    assert await waiting_in(connection, queue) in {0, 1}


async def is_left(connection: AbstractConnection, queue: str) -> bool:
    return not await is_consumed(connection, queue)


def test_every_example_is_in_the_table() -> None:
    text = (EXAMPLES / "README.md").read_text()

    for folder in (path for path in EXAMPLES.iterdir() if path.is_dir()):
        assert f"]({folder.name}/" in text
