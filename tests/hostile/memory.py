"""The most memory a process and its descendants have had, as Linux says in /proc."""

import re
from pathlib import Path

from tests.support.servers import process_tree

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESET_PEAK = "5"  # https://docs.kernel.org/filesystems/proc.html, clear_refs


def reset_peak(pid: int) -> None:
    """Let the peaks begin anew at what is resident now."""
    for descendant in process_tree.tree(pid):
        Path(f"/proc/{descendant}/clear_refs").write_text(_RESET_PEAK)


def peak_bytes(pid: int) -> int:
    """Return the sum of the peaks, which is at least the peak of the sum."""
    return sum(_peak_kib(descendant) for descendant in process_tree.tree(pid)) * 1024


def _peak_kib(pid: int) -> int:
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0  # a process that has just ended has none
