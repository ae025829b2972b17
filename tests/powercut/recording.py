"""What processes did to their files and sockets, in order, read out of strace's record."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FILES = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,"
    "renameat,renameat2,unlink,unlinkat,fsync,fdatasync,mkdir,mkdirat,rmdir,link,linkat,symlink,"
    "symlinkat,sendfile,copy_file_range,sync_file_range,msync"
)
_SOCKETS = "sendto,sendmsg,read,readv,recvfrom,recvmsg"
_OF_FILES = r" read\([0-9]+<\\x2f"
"""What is read of files is no change: it is left out, and is much, as each module is read."""
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD = re.compile(r"^(-?\d+|AT_FDCWD)<([^>]*)>")
_RESULT = re.compile(r"\) += (-?\d+)")


class Call(NamedTuple):
    """One end of a system call.

    Args:
        name: of the call.
        thread: that made it.
        path: of its descriptor, or empty; `socket:[N]` is a socket.
        strings: its buffers and paths, decoded.
        arguments: as strace prints them, with empty strings.
        is_begun: whether this is its beginning; what it writes may be on disk from here on.
        is_done: whether this is its end, with success; what it syncs is on disk from here on.
        result: what it returned, at its end.
    """

    name: str
    thread: str
    path: str
    strings: list[bytes]
    arguments: str
    is_begun: bool
    is_done: bool
    result: int


def strace(trace: Path, *, sockets: bool = False) -> list[str]:
    """Return the command that records the command after it.

    With `sockets`, what goes through them is recorded as well, and the process keeps its number and
    its signals: strace itself is its grandchild, and ends after it.
    """
    command = ["strace", "-f", "-y", "-xx", "-s", str(1 << 22), "--seccomp-bpf"]
    if not sockets:
        return [*command, "-e", f"trace={_FILES}", "-o", str(trace)]
    to = f"|exec grep -avE '{_OF_FILES}' >'{trace}'"
    return [*command, "-D", "-e", f"trace={_FILES},{_SOCKETS}", "-o", to]


def calls(trace: Path) -> Iterator[Call]:
    """Yield the beginnings and ends of calls, in order; a call nobody interrupted is both.

    The end of an interrupted call has path and strings of its beginning, too.

    Raises:
        ValueError: a buffer was cut, so the recording is not the whole truth.
    """
    begun: dict[str, Call] = {}
    with trace.open() as lines:
        for line in lines:
            if not (match := _LINE.match(line)):
                continue  # signals and exits
            thread, resumed, name, rest = match.groups()
            is_unfinished = "<unfinished ...>" in rest
            if not resumed and not is_unfinished and " = -1 " in rest:
                continue
            call = _call(thread, resumed or name, rest, is_begun=not resumed)
            if resumed:
                known = begun.pop(thread, None)
                if known is None:
                    continue  # its beginning was left out
                call = call._replace(path=known.path, strings=known.strings + call.strings)
            elif is_unfinished:
                begun[thread] = call
            yield call


def _call(thread: str, name: str, rest: str, *, is_begun: bool) -> Call:
    strings = []
    for text, cut in _STRING.findall(rest):
        if cut:
            raise ValueError("strace cut a buffer")
        strings.append(_decoded(text))
    arguments = _STRING.sub('""', rest)
    at = _FD.match(arguments)
    result = _RESULT.search(arguments)
    return Call(
        name=name,
        thread=thread,
        path=_decoded(at[2]).decode() if at else "",
        strings=strings,
        arguments=arguments,
        is_begun=is_begun,
        is_done=result is not None and result[1] != "-1",
        result=int(result[1]) if result else 0,
    )


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()
