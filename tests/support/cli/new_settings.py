"""What the tests of `relay init` share."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from relay import vendors
from tests.support.senders import SENDERS

PRESETS = [("generic", name) for name in vendors.presets_of("generic")]
ALL = [*[(name, "") for name in vendors.names()], *PRESETS]
HOOKS = "https://hooks.example.com/chat"
MADE_ELSEWHERE = {"discord", "freshchat"}
"""Those who sign with a private key: no secret made here can stand in for their public one."""


def flags(tmp_path: Path, vendor: str, preset: str = "") -> list[str]:
    """Return what to say where nothing is asked."""
    words = ["--yes", "--vendor", vendor, "--source", "acme-1", "--public-url", HOOKS]
    words += ["--preset", preset] if preset else []
    if {vendor, preset} & MADE_ELSEWHERE:
        key = tmp_path / "key.pem"
        key.write_text(SENDERS[preset or vendor].secrets[0])
        words += ["--secret", f"file:{key}"]
    return words


def files_in(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() or path.is_symlink():
            mode = stat.S_IMODE(path.lstat().st_mode)
            yield str(path.relative_to(folder)), mode, path.read_bytes() if path.exists() else b""


def text_of(path: Path) -> str:
    return path.read_text()


def folder_in(path: Path, name: bytes) -> Path:
    folder = Path(os.fsdecode(os.fsencode(path) + b"/" + name))
    folder.mkdir()
    return folder


def entered(out: str) -> dict[str, str]:
    return dict(line.split("\t") for line in out.splitlines() if "\t" in line)
