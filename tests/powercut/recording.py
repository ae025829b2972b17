"""What a process did to its files, in order, read out of its system calls by strace."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_WATCHED = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,"
    "renameat,renameat2,unlink,unlinkat,fsync,fdatasync,mkdir,mkdirat,rmdir,link,linkat,symlink,"
    "symlinkat,sendfile,copy_file_range,sync_file_range,msync"
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD = re.compile(r"^(-?\d+|AT_FDCWD)<([^>]*)>")


class Call(NamedTuple):
    """One end of a system call.

    Args:
        name: of the call.
        thread: that made it.
        path: of its descriptor, or empty.
        strings: its buffers and paths, decoded.
        arguments: as strace prints them, with empty strings.
        is_begun: whether this is its beginning; what it writes may be on disk from here on.
        is_done: whether this is its end, with success; what it syncs is on disk from here on.
    """

    name: str
    thread: str
    path: str
    strings: list[bytes]
    arguments: str
    is_begun: bool
    is_done: bool


def record(trace: Path, directory: Path, journal: Path, deliveries: int, seed: int) -> None:
    """Run the load under strace. Raises CalledProcessError if it fails."""
    tracer = ["strace", "-f", "-y", "-xx", "-s", str(1 << 22), "-e", f"trace={_WATCHED}"]
    load = [sys.executable, "-m", "tests.powercut.load", str(directory), str(journal)]
    subprocess.run(
        [*tracer, "-o", str(trace), *load, str(deliveries), str(seed)],
        check=True,
        capture_output=True,
        timeout=300,
    )


def calls(trace: Path) -> Iterator[Call]:
    """Yield the beginnings and ends of calls, in order; a call nobody interrupted is both.

    Raises:
        ValueError: a buffer was cut, so the recording is not the whole truth.
    """
    with trace.open() as lines:
        for line in lines:
            if not (match := _LINE.match(line)):
                continue  # signals and exits
            thread, resumed, begun, rest = match.groups()
            if not resumed and "<unfinished ...>" not in rest and " = -1 " in rest:
                continue
            strings = []
            for text, cut in _STRING.findall(rest):
                if cut:
                    raise ValueError("strace cut a buffer")
                strings.append(_decoded(text))
            arguments = _STRING.sub('""', rest)
            at = _FD.match(arguments)
            done = "<unfinished ...>" not in rest and not re.search(r"\) += -1 ", rest)
            path = _decoded(at[2]).decode() if at else ""
            yield Call(resumed or begun, thread, path, strings, arguments, not resumed, done)


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()
