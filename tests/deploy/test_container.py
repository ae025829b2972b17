"""The image, without a container engine: its Dockerfile linted, and its steps carried out."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import aiohttp
import pytest

from deploy.local.private_server import free_port
from relay import vendors
from relay.process.libraries import DISTRIBUTION
from tests.deploy.compiler import QUICKLY, lacks_compiler
from tests.deploy.dockerfile import arguments, environment, stages
from tests.deploy.overlay import Overlay, lacks
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_process import NOWHERE

DOCKERFILE = Path("deploy/container/Dockerfile")
BUILD, IMAGE = stages(DOCKERFILE)
BUILT = "build/dist"
SECRET = "s3cret"
_START_LIMIT_S = 120.0  # for a process that starts neither well nor badly
# How this machine reaches PyPI.
REACHING = {
    name: value
    for name, value in os.environ.items()
    if name.upper().startswith(("PIP_", "SSL_CERT_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"))
}


def locked(path: Path) -> dict[str, set[str]]:
    """Return the digests by requirement."""
    text = path.read_text().replace("\\\n", "")
    return {
        re.split(r"[ ;]", line)[0]: set(re.findall(r"--hash=(\S+)", line))
        for line in text.splitlines()
    }


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")

    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_it_installs_what_is_locked_and_tested(name: str) -> None:
    whole, part = locked(Path("requirements.lock")), locked(DOCKERFILE.parent / name)

    assert part
    for requirement, digests in part.items():
        assert digests == whole[requirement], requirement


def test_it_installs_all_that_relay_and_services_need_and_no_tool() -> None:
    names = {
        requirement.split("==")[0]
        for requirement in locked(DOCKERFILE.parent / "requirements.lock")
    }
    wanted = [
        re.split(r"[\[<>=;!~ ]", requirement)[0]
        for requirement in metadata.requires(DISTRIBUTION) or []
        if "dev" not in requirement.partition(";")[2]
    ]

    assert set(wanted) <= names
    assert not names & {"pip", "setuptools", "hatchling", "pytest", "ruff", "uv"}


def test_nobody_gets_more_into_it_than_it_needs() -> None:
    lines = [
        line for line in Path(".dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    copied = {source for argument in arguments(BUILD, "COPY") for source in argument.split()[:-1]}

    assert lines[0] == "*"
    for source in copied:
        assert any(fnmatch(source, line.removeprefix("!")) for line in lines[1:]), source


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, image_wheel: Path) -> Iterator[Overlay]:
    """What the Dockerfile builds, in an overlay of this machine."""
    if reason := lacks() or lacks_compiler():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("image")
    overlay = Overlay(directory)
    if reason := overlay.prepare():
        pytest.skip(f"no overlay can be made here: {reason}")
    for stage in (BUILD, IMAGE):
        place = "/"
        for instruction in stage:
            match instruction.name:
                case "WORKDIR":
                    place = instruction.argument
                    (overlay.written / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "COPY" if not instruction.argument.startswith("--from"):
                    *sources, target = instruction.argument.split()
                    _copy(sources, overlay.written / place.lstrip("/") / target)
                case "RUN":
                    command = ["/bin/sh", "-euc", instruction.argument]
                    overlay.run(command, directory=place, environment=REACHING | QUICKLY)
    shutil.copytree(overlay.written / BUILT, directory / "wheel")
    with contextlib.suppress(OSError):  # it is there: several workers have built the image
        (directory / "wheel").rename(image_wheel)
    yield overlay
    shutil.rmtree(directory, ignore_errors=True)


def _copy(sources: list[str], target: Path) -> None:
    for source in map(Path, sources):
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(source, target)


def test_no_tool_is_left_in_it(image: Overlay) -> None:
    installed = image.written / "opt/relay/bin"
    modules = {path.name for path in image.written.glob("opt/relay/lib/python*/site-packages/*")}

    assert {path.name for path in installed.iterdir()} >= {"python", "relay"}
    assert not {path.name for path in installed.iterdir()} & {"pip", "pip3", "hatchling", "wheel"}
    assert modules >= {"relay", "consumers", "psycopg", "opentelemetry"}
    assert not modules & {"pip", "setuptools", "hatchling", "mypy", "mypyc", "pytest", "tests"}
    assert image.run(["python", "-m", "pip", "--version"], check=False).returncode != 0


def test_it_is_compiled(image: Overlay) -> None:
    assert image.run(["/opt/relay/bin/relay", "--version"]).stdout.endswith(", compiled\n")


@contextlib.asynccontextmanager
async def container(
    image: Overlay, command: list[str], **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command as a container would: its user, a tree that is read only, a volume."""
    (user,), (place, *_) = arguments(IMAGE, "USER"), arguments(IMAGE, "WORKDIR")
    whole = image.command(
        command,
        environment=environment(IMAGE) | variables,
        directory=place,
        user=user,
        writable=[place, "/tmp"],  # noqa: S108  in the container
    )
    process = await asyncio.create_subprocess_exec(*whole, stderr=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listens(process: asyncio.subprocess.Process) -> None:
    """Wait until a process logs that it listens; fail with its log where it ends before.

    Each question after its health is a container of its own, which takes the CPU from a start.
    """
    assert process.stderr
    log = b""
    async with asyncio.timeout(_START_LIMIT_S):
        while b'"event":"listening"' not in log:
            line = await process.stderr.readline()
            log += line
            assert line, log.decode()


async def healthy(image: Overlay, port: int) -> bool:
    """Ask as the image's HEALTHCHECK does."""
    (check,) = [instruction for instruction in IMAGE if instruction.name == "HEALTHCHECK"]
    variables = {"HEALTH_PORT": str(port), "PATH": environment(IMAGE)["PATH"]}
    done = await asyncio.to_thread(
        image.run, check.command, check=False, environment=variables, user="10001:10001"
    )
    return done.returncode == 0


async def is_drained(port: int) -> bool:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/readyz") as response,
    ):
        return (await response.json())["outbox"]["messages"] == 0


@pytest.mark.usefixtures("declared")
async def test_a_relay_in_it_serves_as_nobody_on_a_tree_it_can_not_write_to(
    image: Overlay, broker_url: str, exchange: str
) -> None:
    port, admin = free_port(), free_port()
    (command,) = [instruction.command for instruction in IMAGE if instruction.name == "CMD"]
    config = image.written / "etc/relay/relay.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f'[sources.swiftsell]\nvendor = "swiftsell"\nsecrets = ["{SECRET}"]\n')
    body = vendors.samples("swiftsell")[1].read_bytes()

    assert not await healthy(image, admin)
    async with container(
        image,
        command,
        RELAY_BROKER__URLS=broker_url,
        RELAY_BROKER__EXCHANGE=exchange,
        RELAY_INGRESS__PORT=str(port),
        RELAY_ADMIN__PORT=str(admin),
    ) as process:
        await listens(process)
        await eventually(lambda: healthy(image, admin))
        async with (
            aiohttp.ClientSession(headers={"Authorization": SECRET}) as http,
            http.post(f"http://127.0.0.1:{port}/in/swiftsell", data=body) as response,
        ):
            answer = await response.json()
        await eventually(lambda: is_drained(admin))
        status = Path(f"/proc/{process.pid}/status").read_text()  # noqa: ASYNC240
        process.send_signal(signal.Signals[arguments(IMAGE, "STOPSIGNAL")[0]])
        _, log = await asyncio.wait_for(process.communicate(), LIMIT_S)

    assert answer["status"] == "accepted"
    assert re.search(r"^Uid:\t10001\t10001", status, re.MULTILINE)
    assert process.returncode == 0, log
    assert json.loads(log.splitlines()[-1])["drained"]


async def test_a_service_starts_in_it(image: Overlay, broker_url: str, exchange: str) -> None:
    admin = free_port()
    async with container(
        image,
        ["python", "-m", "consumers.archive"],
        RELAY_CONFIG="",
        RELAY_BROKER__URLS=broker_url,
        RELAY_BROKER__EXCHANGE=exchange,
        RELAY_CONSUMERS__ARCHIVE__QUEUE=exchange,
        RELAY_CONSUMERS__ARCHIVE__DATABASE="sqlite:archive.db",
        RELAY_CONSUMERS__ARCHIVE__ADMIN__PORT=str(admin),
    ) as process:
        await listens(process)
        await eventually(lambda: healthy(image, admin))


async def test_a_console_starts_in_it(image: Overlay) -> None:
    port = free_port()
    async with container(
        image,
        ["relay", "console"],
        RELAY_CONFIG="",
        RELAY_BROKER__URLS=NOWHERE,
        RELAY_CONSOLE__PORT=str(port),
        RELAY_SOURCES__SWIFTSELL__VENDOR="swiftsell",
        RELAY_SOURCES__SWIFTSELL__SECRETS="unused",
    ) as process:
        await listens(process)
        await eventually(lambda: healthy(image, port))


async def test_what_is_no_volume_can_not_be_written_to(image: Overlay) -> None:
    async with container(image, ["sh", "-c", "touch /etc/relay/x /opt/relay/x"]) as process:
        _, said = await process.communicate()

    assert said.count(b"Read-only file system") == 2


def test_without_docker_the_check_says_what_it_could_not_do(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    done = subprocess.run(
        ["sh", DOCKERFILE.parent / "check.sh"],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")
    assert "no image was built" in done.stderr


def test_the_image_says_how_it_wants_to_be_run() -> None:
    bases = [*arguments(BUILD, "FROM"), *arguments(IMAGE, "FROM")]
    (labels,) = arguments(IMAGE, "LABEL")

    # One release of Debian and of Python: what is compiled in the one runs in the other.
    assert [re.split("[@ ]", base)[0] for base in bases] == [
        "python:3.11-bookworm",
        "python:3.11-slim-bookworm",
    ]
    assert arguments(IMAGE, "USER") == ["10001:10001"]
    assert arguments(IMAGE, "STOPSIGNAL") == ["SIGTERM"]
    assert 'image.licenses="Apache-2.0"' in labels
