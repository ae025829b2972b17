"""A library between a relay and its system, through which disk and clock can be made to fail."""

import errno
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path("tests/faults/harness/shim.c")
_LAYOUT = struct.Struct("5q")  # struct control in shim.c


def lacks() -> str:
    """Say why there can't be one here."""
    return "" if shutil.which("gcc") else "gcc, which builds the shim, is not installed"


class Shim:
    """What the library does in the relays of one directory, from one moment to the next.

    Args:
        directory: where library and control file are put.
        failing: whose files the disk's faults are about.
    """

    def __init__(self, directory: Path, failing: Path) -> None:
        self._control = directory / "shim.control"
        self.set()
        library = directory / "shim.so"
        command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library)]
        subprocess.run([*command, str(_SOURCE), "-ldl"], check=True)
        self.environment = {
            "LD_PRELOAD": str(library.resolve()),
            "FAULTS_CONTROL": str(self._control.resolve()),
            "FAULTS_DIRECTORY": str(failing.resolve()),
        }

    def set(
        self,
        *,
        sync_errno: int = 0,
        sync_delay_s: float = 0.0,
        write_errno: int = 0,
        clock_offset_s: int = 0,
        hangs: bool = False,
    ) -> None:
        """Let these things fail from now on, and nothing else."""
        delay_us = int(sync_delay_s * 1e6)
        content = _LAYOUT.pack(sync_errno, delay_us, write_errno, clock_offset_s, hangs)
        with self._control.open("r+b" if self._control.exists() else "wb") as file:
            file.write(content)


READ_ONLY = errno.EROFS
BROKEN = errno.EIO
