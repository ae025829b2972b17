"""deploy/vendor-template/: installed beside the relay it is a vendor, and its own test passes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = Path("deploy/vendor-template").absolute()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package and its entry point in it, as pip would install it."""
    directory = tmp_path_factory.mktemp("vendor")
    shutil.copytree(
        TEMPLATE, directory / "package", ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    command = [sys.executable, "-m", "uv", "pip", "install", "--no-config", "--no-deps"]
    command += ["--no-build-isolation", "--python", sys.executable]
    subprocess.run(
        [*command, "--target", str(directory / "site"), str(directory / "package")],
        check=True,
        capture_output=True,
    )
    return directory


def run(*words: str, directory: Path) -> str:
    """Return what a module of this environment prints, beside what is installed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=directory / "package",
        env={**os.environ, "PYTHONPATH": str(directory / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_relay_knows_the_vendor(installed: Path) -> None:
    assert "\nexamplechat" in run("relay", "vendors", directory=installed)


def test_its_own_test_passes(installed: Path) -> None:
    said = run("pytest", "--quiet", "-p", "no:cacheprovider", directory=installed)

    assert " passed" in said


def test_its_test_fails_where_a_payload_becomes_something_else(
    installed: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(installed, tmp_path / "copy")
    [expectation] = copy.glob("package/tests/payloads/01-*.expected.json")
    expectation.write_text(expectation.read_text().replace("Hello", "Bye"))

    with pytest.raises(AssertionError, match="/events/0/data/message/text"):
        run("pytest", "--quiet", "-p", "no:cacheprovider", directory=copy)
