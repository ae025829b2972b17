"""What a process and all its descendants use, as Linux says in /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Places in /proc/<pid>/stat behind the name, which is in parentheses and may hold anything.
_USER, _SYSTEM = 11, 12


def cpu_s(pid: int) -> float:
    """Return the CPU time used so far: user and system, all threads, all processes of the tree."""
    return sum(_used_s(descendant, "stat") for descendant in tree(pid))


def thread_cpu_s(pid: int) -> dict[int, float]:
    """Return the CPU time of each thread of one process."""
    return {int(thread): _used_s(pid, f"task/{thread}/stat") for thread in _threads(pid)}


def waited_s(pid: int) -> float:
    """Return how long all threads of the tree were ready to run and waited for a core.

    The second field of schedstat, in nanoseconds: https://docs.kernel.org/scheduler/sched-stats.html
    """
    names = [f"{each}/task/{thread}" for each in tree(pid) for thread in _threads(each)]
    fields = [_read(name, "schedstat").split() for name in names]
    return sum(int(found[1]) for found in fields if found) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory of the tree; what processes share counts for each."""
    sizes = [_read(descendant, "statm").split() for descendant in tree(pid)]
    return sum(int(fields[1]) for fields in sizes if fields) * _PAGE_BYTES


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants, as of now."""
    yield pid
    for thread in _threads(pid):
        for child in _read(pid, f"task/{thread}/children").split():
            yield from tree(int(child))


def _used_s(pid: int, name: str) -> float:
    fields = _read(pid, name).rpartition(") ")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S if fields else 0.0


def _threads(pid: int) -> list[str]:
    try:
        return [path.name for path in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return []


def _read(pid: int | str, name: str) -> str:
    """Return a file of a process, "" for one that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
