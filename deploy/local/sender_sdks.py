"""Senders' own libraries, which sign and check deliveries in tests: of PyPI and of npm.

They go to .run/sdk, apart from .venv, and are checked by the digests in tests/interop/sdk. Standard
library only. Tests that need them are skipped without, so it is no failure if a registry is out of
reach; a wrong digest is one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

LISTS = Path("tests/interop/sdk")
DIRECTORY = Path(".run/sdk")
FILES = {"python": ("requirements.lock",), "node": ("package.json", "package-lock.json")}
"""By language, what lists the packages."""

_LIMIT_S = 300
_MIN_NODE = 20
_WRONG_DIGEST = re.compile(r"EINTEGRITY|EUSAGE|DO NOT MATCH THE HASHES")
_ERROR = re.compile(r"^(ERROR: |npm error ).*", re.MULTILINE)
_NPM = (
    *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"),
    *("--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
)
_PIP = (
    *(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"),
    *("--require-hashes", "--no-deps", "--no-compile", "--only-binary", ":all:"),
)


class InstallError(Exception):
    """They can't be had here; the message says why."""


class WrongDigestError(Exception):
    """What came is not what the lists name, or these do not agree."""


def is_installed(language: str) -> bool:
    """Return whether what the lists say now is there."""
    stamp = _stamp(language)
    return stamp.exists() and stamp.read_text() == _wanted(language)


def ensure(language: str) -> None:
    """Install them if they are missing, or say why they can't be.

    Raises:
        WrongDigestError: nothing may be run of what came.
    """
    try:
        if not is_installed(language):
            _install(language)
    except InstallError as error:
        what = f"Tests with senders' own libraries in {language} will be skipped"
        sys.stderr.write(f"{what}: {error}\n")


def _stamp(language: str) -> Path:
    return DIRECTORY / language / "installed"


def _wanted(language: str) -> str:
    digest = hashlib.sha256(sys.version.encode() if language == "python" else b"")
    for name in FILES[language]:
        digest.update((LISTS / name).read_bytes())
    return digest.hexdigest()


def _install(language: str) -> None:
    directory = DIRECTORY / language
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    if language == "python":
        lock = str(LISTS / "requirements.lock")
        _run(*_PIP, "--target", str(directory), "--requirement", lock)
    else:
        _require_node()
        for name in FILES[language]:
            shutil.copy(LISTS / name, directory)
        _run(*_NPM, directory=directory)
    _stamp(language).write_text(_wanted(language))


def _require_node() -> None:
    for program in ("node", "npm"):
        if not shutil.which(program):
            advice = "run `sudo apt-get install nodejs npm`."
            raise InstallError(f"{program} is not installed; {advice}")
    version = _run("node", "--version")
    if int(version.removeprefix("v").partition(".")[0]) < _MIN_NODE:
        raise InstallError(f"node is {version}, and they need {_MIN_NODE} or later.")


def _run(*command: str, directory: Path | None = None) -> str:
    try:
        result = subprocess.run(  # noqa: S603  pip and npm, no shell
            command, cwd=directory, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{command[0]} did not end within {_LIMIT_S} s.") from error
    errors = result.stderr.strip()
    if result.returncode and _WRONG_DIGEST.search(errors):
        raise WrongDigestError(f"{command[0]} refused a package: {errors}")
    if result.returncode:
        found = _ERROR.search(errors)
        raise InstallError(f"{found[0] if found else errors[:200]}.")
    return result.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m deploy.local.sender_sdks", description=__doc__)
    parser.add_argument(
        "--ensure", action="store_true", required=True, help="install them if they are missing"
    )
    parser.parse_args()
    for each in FILES:
        ensure(each)
