"""This machine: its clock, its ports, and the disk that the outbox is on."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from relay.cli.checks.finding import Finding
from relay.errors import OutboxError, RelayError
from relay.process.bound_sockets import Hosts, bound

T = TypeVar("T")

_SYNCS = 20
_SYNC_BYTES = 4096
_SLOW_SYNC_MS = 20.0
_MIN_FREE_BYTES = 64 * 1024 * 1024  # SQLite's log, and what the outbox sets aside
_MB = 1_000_000

# `struct timex` as far as its status; https://man7.org/linux/man-pages/man2/adjtimex.2.html
_TIMEX, _TIMEX_BYTES = struct.Struct("@Illlli"), 512
_TIME_ERROR = 5
_FILE_SYSTEMS = {
    "is memory, and gone after a restart": {"tmpfs", "ramfs"},
    "is the container's own layer, and gone with it: mount a volume there": {"overlay", "aufs"},
    # https://www.sqlite.org/wal.html#overview
    "is on the network, where SQLite's log does not work": {
        *("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs"),
    },
}


async def within(limit_s: float, what: str, work: Callable[[], T]) -> T:
    """Do work that blocks, but wait for it no longer than limit_s.

    The thread is left alone then: a disk that hangs must not keep the process from its end.

    Raises:
        OutboxError: it took longer.
    """
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def do() -> None:
        try:
            finish = partial(_finish, done, work())
        except Exception as error:  # noqa: BLE001  the caller gets it, whatever it is
            finish = partial(_fail, done, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            loop.call_soon_threadsafe(finish)

    threading.Thread(target=do, daemon=True).start()
    try:
        async with asyncio.timeout(limit_s):
            return await done
    except TimeoutError as error:
        raise OutboxError(f"The disk did not answer within {limit_s:g} s: {what}.") from error


def _finish(done: asyncio.Future[T], result: T) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)


def existing(directory: Path) -> Path:
    """Return a directory, or its nearest parent that exists, as far as this user may know."""
    return next(
        path for path in (directory, *directory.absolute().parents) if os.access(path, os.F_OK)
    )


async def clock() -> Finding:
    """Ask the kernel whether anything keeps the clock right."""
    kept = ctypes.create_string_buffer(_TIMEX_BYTES)
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    state = adjtimex(kept) if adjtimex else -1
    if state == _TIME_ERROR:
        return Finding(
            "the kernel says that nothing keeps it right: run chrony or systemd-timesyncd, since "
            "signatures with a time are refused once it is minutes off",
            is_warning=True,
        )
    if state < 0:
        return Finding("the kernel does not say here whether anything keeps it right")
    max_error_ms = _TIMEX.unpack_from(kept)[3] / 1000
    return Finding(f"kept right, at most {max_error_ms:.0f} ms off")


async def ports(listeners: Sequence[tuple[str, Hosts, int]]) -> Finding:
    """Try to bind the addresses of listeners: their names, hosts and ports."""
    try:
        with contextlib.ExitStack() as stack:
            for name, hosts, port in listeners:
                stack.enter_context(bound(hosts, port, name))
    except RelayError as error:
        text = f"{error} Unless the relay of these settings runs here already."
        return Finding(text, is_warning=True)
    return Finding("free")


async def disk(directory: Path, limit_s: float) -> Finding:
    """Measure how long an fsync takes where the outbox is, or will be.

    Raises:
        OutboxError: nothing can be written there, or not in time.
    """
    place = existing(directory)
    try:
        times_ms = await within(limit_s, "fsync", lambda: _sync_times_ms(place))
    except OSError as error:
        raise OutboxError(f"{place} can't be written: {error.strerror}.") from error
    usual, worst = statistics.median(times_ms), max(times_ms)
    text = f"an fsync takes {usual:.1f} ms, at most {worst:.1f} ms"
    if trouble := _trouble_with(place):
        return Finding(f"{place} {trouble}; {text}", is_warning=True)
    if usual > _SLOW_SYNC_MS:
        return Finding(
            f"{text}; every answer waits for one, so take a faster disk for outbox.directory",
            is_warning=True,
        )
    return Finding(text)


def _sync_times_ms(place: Path) -> list[float]:
    times_ms = []
    with tempfile.TemporaryFile(dir=place, buffering=0) as file:
        for _ in range(_SYNCS):
            begun = time.perf_counter()
            file.write(os.urandom(_SYNC_BYTES))
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - begun) * 1000)
    return times_ms


def _trouble_with(place: Path) -> str:
    """Return what is wrong with the kind of file system for an outbox; "" for nothing."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next(
        (text for text, kinds in _FILE_SYSTEMS.items() if kind_of(place, lines) in kinds), ""
    )


def kind_of(place: Path, mountinfo: list[str]) -> str:
    """Return the kind of the file system that a path is on; "" if that is not known.

    Args:
        place: the path.
        mountinfo: lines of /proc/self/mountinfo; see proc_pid_mountinfo(5).
    """
    kind, depth = "", -1
    for line in mountinfo:
        mount, _, source = line.partition(" - ")
        point = Path(mount.split()[4].replace("\\040", " "))
        if place.resolve().is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = source.split()[0], len(point.parts)
    return kind


async def space(directory: Path, max_bytes: int, limit_s: float) -> Finding:
    """Compare the room on the disk with what the outbox may still take.

    Raises:
        OutboxError: there is too little for anything.
    """
    place = existing(directory)
    free, used = await within(
        limit_s, "free space", lambda: (shutil.disk_usage(place).free, _bytes_in(directory))
    )
    left = max(0, max_bytes - used)
    text = f"{free // _MB:,} MB free, the outbox may take {left // _MB:,} MB more"
    if free < _MIN_FREE_BYTES:
        raise OutboxError(f"{place}: {text}; make room, or deliveries are answered 503.")
    if free < left:
        return Finding(
            f"{text}; make room or lower outbox.max_bytes, since a full disk is answered 503",
            is_warning=True,
        )
    return Finding(text)


def _bytes_in(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                total += (Path(folder) / name).stat().st_size
    return total
