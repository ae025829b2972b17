"""What it takes to compile a part of the relay."""

import shutil
import sysconfig
from pathlib import Path

QUICKLY = {
    "MYPYC_OPT_LEVEL": "0",
    "MYPYC_DEBUG_LEVEL": "0",
    "CFLAGS": "-Wno-misleading-indentation",
}
"""Variables with which mypyc takes a fifth of the time; what it compiles does the same, slower.

That gcc looks at the indentation of nine megabytes, written by mypyc, is half of its time.
"""


def lacks_compiler() -> str:
    """Say what is missing to compile here, or ""."""
    if not shutil.which("gcc"):
        return "gcc is needed to compile the relay: the Debian package gcc has it"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python.h is needed to compile the relay: the Debian package python3-dev has it"
    return ""
