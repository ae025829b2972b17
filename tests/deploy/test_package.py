"""sdist and wheel, as `make dist` builds them: what is in them, and that they work elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from relay import vendors
from relay.process.libraries import DISTRIBUTION
from tests.deploy.test_container import locked

RUNTIME_LOCK = Path("deploy/container/requirements.lock").absolute()
UV = (sys.executable, "-m", "uv", "--no-config")
_LIMIT_S = 300
_NO_INDEX = re.compile(r"error sending request|Failed to fetch|NewConnectionError|dns error")
"""What uv and pip say where the package index is out of reach."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an sdist and a wheel are."""
    directory = tmp_path_factory.mktemp("dist")
    build(Path(), directory)
    return directory


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata_of_wheel(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        [name] = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(file.read(name).decode())


def build(source: Path, directory: Path, *arguments: str) -> None:
    """Build as `make dist` does: no isolation, so with the locked hatchling."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory)]
    subprocess.run([*command, *arguments], cwd=source, check=True, capture_output=True)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def run(command: list[str], directory: Path, **variables: str) -> str:
    """Return what a program prints that is run outside the checkout, with nothing of it."""
    hidden = {"PYTHONPATH", "VIRTUAL_ENV", "RELAY_CONFIG"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment | variables,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode and _NO_INDEX.search(done.stderr):
        pytest.skip(f"the package index is out of reach: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_the_command_works(relay: list[str], directory: Path, **variables: str) -> None:
    """Run commands that need vendors, samples and schemas; they are read from what is installed."""
    config = directory / "relay.toml"
    config.write_text('[sources.acme]\nvendor = "swiftsell"\nsecrets = ["s3cret"]\n')
    sample = directory / "02.json"
    [documented] = [file for file in vendors.samples("swiftsell") if file.name.startswith("02")]
    sample.write_bytes(documented.read_bytes())

    said = run([*relay, "vendors"], directory, **variables)
    schema = json.loads(run([*relay, "schema", "message.created"], directory, **variables))
    words = [*relay, "inspect", "acme", str(sample), "--json"]
    inspected = json.loads(run(words, directory, RELAY_CONFIG=str(config), **variables))

    assert set(vendors.discover()) <= {line.split()[0] for line in said.splitlines() if line}
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert inspected["events"][0]["routing_key"].startswith("swiftsell.message.created")


def test_no_two_modules_say_what_it_is_called() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]

    assert project["name"] == DISTRIBUTION


def test_no_text_says_to_install_what_is_somebody_elses() -> None:
    texts = [
        path
        for pattern in ("*.md", "relay/**/*", "consumers/**/*", "deploy/**/*", ".github/**/*")
        for path in Path().glob(pattern)
        if path.is_file()
        and "samples" not in path.parts
        and path.suffix not in {".pyc", ".db", ".png"}
    ]

    installs = re.compile(
        r"(?:pip3? install|pipx (?:install|run)|uvx|uv tool (?:install|run)|uv add|"
        r"uvx --from|--from)(?: -\S+)* ['\"]?relay\b(?![/.])"
    )
    assert [str(path) for path in texts if installs.search(path.read_text())] == []


def test_the_wheel_has_all_that_the_packages_have(wheel: Path) -> None:
    names = names_in(wheel)

    tracked = subprocess.run(
        ["git", "ls-files", "relay", "consumers"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {name for name in tracked if not name.startswith("consumers/examples/")} <= names
    assert any(re.fullmatch(r"relay/vendors/samples/swiftsell/.*\.json", name) for name in names)
    assert not {name for name in names if "__pycache__" in name or name.startswith("tests/")}
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "relay",
        "consumers",
        DISTRIBUTION.replace("-", "_"),
    }


def test_the_sdist_builds_the_same_wheel(dist: Path, wheel: Path, tmp_path: Path) -> None:
    [sdist] = dist.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path)
    [source] = tmp_path.iterdir()

    build(source, tmp_path / "again", "--target", "wheel")

    [again] = (tmp_path / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()
    assert (source / "tests/unit/test_samples.py").exists()
    assert (source / "requirements.lock").exists()


def test_its_metadata_is_complete_and_invents_nothing(metadata_of_wheel: Message) -> None:
    found = metadata_of_wheel
    pythons = [
        text.rpartition(" ")[2]
        for text in found.get_all("Classifier") or []
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", text)
    ]

    assert found["Name"] == DISTRIBUTION
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Summary"]
    assert found["Description-Content-Type"] == "text/markdown"
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in pythons
    assert found.get_all("Project-URL") is None  # nobody has published it


def test_it_works_in_a_fresh_environment_with_what_is_locked(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    run([*UV, "venv", "--python", sys.executable, str(tmp_path / "venv")], tmp_path)
    install = [*UV, "pip", "install", "--python", str(python)]
    run([*install, "--require-hashes", "--no-deps", "-r", str(RUNTIME_LOCK)], tmp_path)
    run([*install, "--no-deps", "--no-index", str(wheel)], tmp_path)

    where = run([str(python), "-c", "import relay; print(relay.__file__)"], tmp_path)

    assert Path(where.strip()).is_relative_to(tmp_path)
    check_the_command_works([str(tmp_path / "venv/bin/relay")], tmp_path)
    version = run([str(tmp_path / "venv/bin/relay"), "--version"], tmp_path)
    assert version.split()[-1] == wheel.name.split("-")[1]


def test_the_sbom_names_all_that_is_locked(tmp_path: Path) -> None:
    run(["make", "sbom", f"SBOM={tmp_path}/sbom.json"], Path())

    sbom = json.loads((tmp_path / "sbom.json").read_text())
    named = {f"{part['name']}=={part['version']}" for part in sbom["components"]}
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["name"] == DISTRIBUTION
    assert named == set(locked(RUNTIME_LOCK))


def constraints_in(directory: Path) -> Path:
    """Write what is locked as constraints, which have no digests."""
    path = directory / "constraints.txt"
    path.write_text("\n".join(locked(RUNTIME_LOCK)) + "\n")
    return path


def test_uvx_runs_it(wheel: Path, tmp_path: Path) -> None:
    uvx = [*UV, "tool", "run", "--python", sys.executable]
    uvx += ["--constraints", str(constraints_in(tmp_path)), "--from", str(wheel)]

    check_the_command_works([*uvx, "relay"], tmp_path)


def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    places = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
    }
    pipx = [*UV, "tool", "run", "--python", sys.executable, "pipx"]
    limits = f"--pip-args=--constraint={constraints_in(tmp_path)}"

    run([*pipx, "install", limits, str(wheel)], tmp_path, **places)

    check_the_command_works([str(tmp_path / "bin/relay")], tmp_path)


@pytest.mark.parametrize(("given", "used"), [({}, "true"), ({"UV_SYSTEM_CERTS": "no"}, "no")])
def test_uv_trusts_whom_this_machine_trusts_unless_told_otherwise(
    tmp_path: Path, given: dict[str, str], used: str
) -> None:
    if not [*Path("/etc/ssl/certs").glob("*.crt")]:
        pytest.skip("this machine names no authorities")
    (tmp_path / "shown.mk").write_text("shown: ; @echo $$UV_SYSTEM_CERTS\n")
    files = ["-f", str(Path("Makefile").absolute()), "-f", "shown.mk"]

    shown = run(["make", "--no-print-directory", *files, "shown"], tmp_path, **given)

    assert shown.strip() == used
