"""Node and the packages of package-lock.json, where they can be had."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_INSTALL = (
    *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"),
    *("--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"),
)
_LIMIT_S = 120
_OUR_FAULT = re.compile(r"EINTEGRITY|EUSAGE|E404")  # a digest, or the two files, are wrong


def install(directory: Path, source: Path = HERE) -> Path:
    """Install what source lists into directory, checked by its digests; return where.

    Skips the test where Node is missing or the npm registry is out of reach.
    """
    for program in ("node", "npm"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, directory)
    try:
        result = subprocess.run(
            _INSTALL, cwd=directory, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not get its packages within {_LIMIT_S} s")
    assert not _OUR_FAULT.search(result.stderr), result.stderr
    if result.returncode:
        pytest.skip(f"npm can't get its packages here: {result.stderr.strip()[:200]}")
    return directory / "node_modules"
