"""Fetch one file of an npm package, pinned by its digest, into .run/. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LIMIT_S = 120


class NpmError(Exception):
    """The package can't be had here; the message is the reason."""


@dataclass(frozen=True)
class NpmFile:
    """A file of a package.

    Args:
        package: Name and version, as in `name@1.2.3`.
        integrity: The digest of the package, as the registry gives it.
        member: The file's path in the package.
    """

    package: str
    integrity: str
    member: str

    @property
    def path(self) -> Path:
        """Where the file is, once it was fetched; the version is in it."""
        return _ROOT / ".run" / "npm" / self.package / Path(self.member).name

    def fetch(self) -> None:
        """Put the file where `path` says, unless it is there.

        Raises:
            NpmError: npm is missing, can't reach the registry, or got another package.
        """
        if self.path.exists():
            return
        if shutil.which("npm") is None:
            raise NpmError("npm is not installed: run `sudo apt-get install npm`.")
        sys.stderr.write(f"fetching the npm package {self.package}\n")
        with tempfile.TemporaryDirectory() as directory:
            packed = self._pack(Path(directory))
            digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
            if f"sha512-{digest}" != self.integrity:
                raise NpmError(f"npm got another {self.package} than the one that is pinned.")
            self._unpack(packed)

    def _pack(self, directory: Path) -> Path:
        command = ("npm", "pack", "--silent", "--ignore-scripts", self.package)
        try:
            result = subprocess.run(  # noqa: S603  a constant command, no shell
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NpmError(f"npm did not get {self.package} within {_LIMIT_S} s.") from error
        found = list(directory.glob("*.tgz"))
        if result.returncode or not found:
            raise NpmError(f"npm can't get {self.package}: {result.stderr.strip()[:200]}")
        return found[0]

    def _unpack(self, packed: Path) -> None:
        with tarfile.open(packed) as archive:
            member = archive.extractfile(f"package/{self.member}")
            if member is None:
                raise NpmError(f"{self.package} has no file {self.member}.")
            content = member.read()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(self.path)  # whoever finds it finds it whole
