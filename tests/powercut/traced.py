"""The relay under strace, as a program: `python -m tests.powercut.traced TRACE ARGUMENTS ...`."""

import os
import sys
from pathlib import Path

from tests.powercut import recording

if __name__ == "__main__":
    command = recording.strace(Path(sys.argv[1]), sockets=True)
    command += [sys.executable, "-m", "relay", *sys.argv[2:]]
    os.execvp(command[0], command)  # noqa: S606  there is no shell
