"""Programs started with libraries that do not fit: one sentence that names the library, exit 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.process import libraries

ROOT = Path(__file__).parents[3]
SETTINGS = """\
[ingress]
port = 0
workers = {workers}
[admin]
port = 0
[sources.acme]
vendor = "swiftsell"
secrets = ["s3cret-of-acme"]
[consumers.archive]
database = "archive.db"
"""
SERVE, TAIL, SERVICE = ["relay", "serve"], ["relay", "tail"], ["consumers.archive"]


def started(
    arguments: list[str], directory: Path, *, workers: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run a module with what lies in the directory in front of what is installed."""
    (directory / "relay.toml").write_text(SETTINGS.format(workers=workers))
    path = os.pathsep.join([str(directory), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def pretend_version(directory: Path, library: str, version: str) -> None:
    info = directory / f"{library}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: {version}\n")


def without(directory: Path, module: str, name: str) -> None:
    """Take a name from a module or class before the program starts."""
    owner, _, attribute = name.rpartition(".")
    (directory / "sitecustomize.py").write_text(
        f"import {module}\ndelattr({module}{'.' if owner else ''}{owner}, {attribute!r})\n"
    )


def named(value: list[str] | str) -> str:
    return " ".join(value) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("arguments", "library", "version"),
    [
        (SERVE, "aiohttp", "3.13.5"),
        (SERVE, "aiohttp", "3.15.0"),
        (SERVE, "aiormq", "7.2.3"),
        (SERVE, "pamqp", "4.1.0a1"),
        (TAIL, "aiormq", "8.0.0"),
        (SERVICE, "aiohttp", "3.13.5"),
        (SERVICE, "pamqp", "3.3.0"),
    ],
    ids=named,
)
def test_a_release_outside_the_declared_range_is_refused(
    arguments: list[str], library: str, version: str, tmp_path: Path
) -> None:
    pretend_version(tmp_path, library, version)

    done = started(arguments, tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert f": {library} {version} does not fit: {library}<" in done.stderr
    assert done.stderr.endswith(" is needed.\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("version", ["3.14.2", "3.14.99"])
def test_a_release_within_the_range_is_not_refused(version: str, tmp_path: Path) -> None:
    pretend_version(tmp_path, "aiohttp", version)

    done = started(["relay", "check", "--offline"], tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "module", "name"),
    [
        (SERVE, "aiormq.channel", "Channel._on_confirm_frame"),
        (SERVE, "aiormq.channel", "Channel._get_frame"),
        (SERVE, "aiormq.abc", "ChannelFrame"),  # which we import by name
        (SERVE, "aiormq", "Channel"),  # which we take from the module
        (SERVE, "pamqp.decode", "TABLE_MAPPING"),
        (SERVE, "structlog", "get_logger"),
        (TAIL, "pamqp.decode", "METHODS"),
        (["relay", "dead", "list", "archive"], "aiormq.channel", "Channel._read_content"),
        (["relay", "--help"], "rich.table", "Table"),
        (SERVICE, "aiormq.channel", "Channel._on_deliver_frame"),
        (SERVICE, "aiormq.abc", "ChannelFrame"),
    ],
    ids=named,
)
def test_a_library_that_lacks_a_name_is_refused(
    arguments: list[str], module: str, name: str, tmp_path: Path
) -> None:
    without(tmp_path, module, name)

    done = started(arguments, tmp_path)

    library = module.partition(".")[0]
    assert done.returncode == 2
    assert done.stdout == ""
    assert f": {library} " in done.stderr
    assert name.rpartition(".")[2] in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_parser_that_reads_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from aiohttp import http\n"
        "class Parser(http.HttpRequestParser):\n"
        "    def feed_data(self, data):\n"
        "        messages, upgraded, rest = super().feed_data(data)\n"
        "        return [], upgraded, rest\n"
        "http.HttpRequestParser = Parser\n"
    )

    done = started(SERVE, tmp_path)

    assert done.returncode == 2
    assert "relay: aiohttp " in done.stderr
    assert " does not fit (its parser reads requests in another way): " in done.stderr


def test_a_worker_that_can_not_start_tells_its_supervisor_why(tmp_path: Path) -> None:
    without(tmp_path, "aiormq.channel", "Channel._get_frame")

    done = started(SERVE, tmp_path, workers=2)

    assert done.returncode == 2
    assert "relay: aiormq " in done.stderr
    assert " does not fit (Channel has no _get_frame): " in done.stderr


def test_a_service_of_others_is_refused_like_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from consumers import kit\n"
        "async def handle(event: kit.Event) -> None: ...\n"
        "kit.run(kit.Consumer(name='mine', bindings=['#'], handle_one=handle))\n"
    )
    pretend_version(tmp_path, "aiormq", "6.9.0")

    done = started(["mine"], tmp_path)

    assert done.returncode == 2
    assert "aiormq 6.9.0 does not fit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_module_of_ours_is_a_bug_and_no_unfit_library() -> None:
    with pytest.raises(ModuleNotFoundError), libraries.required():
        __import__("relay.no_such_module")
