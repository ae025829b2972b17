"""A disk as POSIX promises it: only what was synced is there after a power cut; the rest, perhaps.

A write is torn into sectors, each of which may be missing. A name is durable once its directory
was synced after it was made, and a file's content once the file was: neither implies the other.
"""

import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from pathlib import PurePosixPath as Pure
from typing import NamedTuple

from tests.powercut.recording import Call

SECTOR_BYTES = 512
_CHANGING = {"write", "pwrite64", "ftruncate", "truncate", "fallocate"}
_SYNCING = {"fsync", "fdatasync"}
_MOVING = {"rename", "renameat", "renameat2"}
_REMOVING = {"unlink", "unlinkat", "rmdir"}
_NAMING = {*_MOVING, *_REMOVING, "mkdir", "open", "openat"}
Keep = Callable[[], bool]


class Extent:
    """Bytes, and zeros behind them up to a size, which take no memory: the reserve is all zeros."""

    def __init__(self, data: bytes = b"", size: int = 0) -> None:
        self.data = bytearray(data)
        self.size = size

    def write_to(self, path: Path) -> None:
        path.write_bytes(self.data)
        os.truncate(path, self.size)


class Change(NamedTuple):
    """A write of data at an offset; or, without data, a new size (`grows`: at least that)."""

    offset: int
    data: bytes | None
    grows: bool = False

    def apply(self, extent: Extent, keep: Keep) -> None:
        content = extent.data
        if self.data is None:
            if keep():
                extent.size = max(extent.size, self.offset) if self.grows else self.offset
                del content[extent.size :]
            return
        start, end = self.offset, self.offset + len(self.data)
        while start < end:
            stop = min(end, start - start % SECTOR_BYTES + SECTOR_BYTES)
            if keep():
                content.extend(bytes(max(0, start - len(content))))
                content[start:stop] = self.data[start - self.offset : stop - self.offset]
                extent.size = max(extent.size, stop)
            start = stop


class File:
    """Content that was synced, and changes since."""

    def __init__(self, *, is_directory: bool = False) -> None:
        self.is_directory = is_directory
        self.durable = Extent()
        self.changes: list[Change] = []
        self.size = 0

    def change(self, change: Change) -> None:
        self.changes.append(change)
        if change.data is not None:
            self.size = max(self.size, change.offset + len(change.data))
        else:
            self.size = max(self.size, change.offset) if change.grows else change.offset

    def sync(self, count: int) -> None:
        for change in self.changes[:count]:
            change.apply(self.durable, lambda: True)
        del self.changes[:count]

    def after_cut(self, keep: Keep) -> Extent:
        extent = Extent(self.durable.data, self.durable.size)
        for change in self.changes:
            change.apply(extent, keep)
        return extent


class Naming(NamedTuple):
    """A name that is given to a file, or taken from it (None); `moved_from` loses it with that."""

    name: str
    file: File | None
    moved_from: str = ""


class Disk:
    """All below a directory that is there from the start."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._live: dict[str, File] = {}
        self._durable: dict[str, File] = {}
        self._namings: list[Naming] = []
        self._syncing: dict[str, tuple[File | None, int, list[Naming]]] = {}

    def see(self, call: Call) -> bool:
        """Take note of a call. Return whether something is durable now that was not.

        Raises:
            ValueError: it does to a file of this disk what is not modelled.
        """
        if call.name in _SYNCING:
            return self._sync(call)
        if not call.is_begun or not self._concerns(call):
            return False
        if call.name in _CHANGING:
            self._change(call)
        elif call.name in _NAMING:
            self._name(call)
        else:
            raise ValueError(f"{call.name} is not modelled")
        return False

    def _concerns(self, call: Call) -> bool:
        if call.path and not call.path.startswith("/"):
            return False
        if call.name in _CHANGING and call.path:
            return self._is_here(call.path)
        return any(self._is_here(path) for path in [call.path, *map(_text, call.strings[:2])])

    def _is_here(self, path: str) -> bool:
        # The index is memory, not a file: SQLite makes it anew.
        return path.startswith(self._root + "/") and not path.endswith("-shm")

    def _sync(self, call: Call) -> bool:
        if call.is_begun and (self._is_here(call.path) or call.path == self._root):
            file = self._live.get(call.path)
            here = [n for n in self._namings if str(Pure(n.name).parent) == call.path]
            self._syncing[call.thread] = (file, len(file.changes) if file else 0, here)
        if not call.is_done or call.thread not in self._syncing:
            return False
        file, count, here = self._syncing.pop(call.thread)
        if file:
            file.sync(count)
        for naming in here:
            self._namings.remove(naming)
            _apply(naming, self._durable)
        return True

    def _change(self, call: Call) -> None:
        path = call.path or _text(call.strings[0])
        file = self._live.get(path)
        if file is None:
            raise ValueError(f"{call.name} to the unknown file {path}")
        numbers = [int(n) for n in re.findall(r"(?<=, )\d+", call.arguments)]
        if call.name == "pwrite64":
            file.change(Change(numbers[-1], call.strings[0]))
        elif call.name == "write":  # only the lock file is written like this
            file.change(Change(file.size, call.strings[0]))
        elif call.name == "fallocate":
            file.change(Change(numbers[-2] + numbers[-1], None, grows=True))
        else:
            file.change(Change(numbers[-1], None))

    def _name(self, call: Call) -> None:
        names = [_text(string) for string in call.strings]
        if call.name in ("open", "openat"):
            self._open(names[0], call.arguments)
        elif call.name == "mkdir":
            self._add(Naming(names[0], File(is_directory=True)))
        elif call.name in _REMOVING:
            if names[0] in self._live:
                self._add(Naming(names[0], None))
        else:
            self._add(Naming(names[1], self._live[names[0]], names[0]))

    def _open(self, name: str, flags: str) -> None:
        if "O_CREAT" in flags and name not in self._live:
            self._add(Naming(name, File()))
        elif "O_TRUNC" in flags and name in self._live:
            self._live[name].change(Change(0, None))

    def _add(self, naming: Naming) -> None:
        self._namings.append(naming)
        _apply(naming, self._live)

    def after_cut(self, chance: random.Random, kept: float) -> dict[str, Extent | None]:
        """Return a disk as it may be if the power is cut now: content by path, None for folders.

        Args:
            chance: which of the changes that were not synced are there.
            kept: how many of them, from 0 to 1.
        """

        def keep() -> bool:
            return chance.random() < kept

        names = dict(self._durable)
        for naming in self._namings:
            if keep():
                _apply(naming, names)
        found = {name: names[name] for name in names if self._is_reachable(name, names)}
        return {
            name: None if file.is_directory else file.after_cut(keep)
            for name, file in sorted(found.items())
        }

    def _is_reachable(self, name: str, names: dict[str, File]) -> bool:
        parent = str(Pure(name).parent)
        return parent == self._root or (parent in names and self._is_reachable(parent, names))


def _apply(naming: Naming, names: dict[str, File]) -> None:
    if naming.moved_from:
        names.pop(naming.moved_from, None)
    if naming.file is None:
        names.pop(naming.name, None)
    else:
        names[naming.name] = naming.file


def _text(string: bytes) -> str:
    return string.decode(errors="replace")
