"""The disk under the outbox fails: full, read-only, slow, no fsync; its file corrupt or gone."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from relay.outbox import database
from tests.faults.harness import shim
from tests.faults.harness.fault_harness import FaultHarness
from tests.faults.harness.journal import ACCEPTED, UNAVAILABLE
from tests.faults.harness.receiver import kept_in
from tests.faults.harness.shim import Shim
from tests.faults.scenarios.scenario import Scenario, Size
from tests.support.eventually import eventually

_DISK = "48m"
_SLOW_SYNC_S = 0.3
_WRITE_TIMEOUT_S = 2.0
_HEADER_BYTES = 100
_WAITING = 50  # events in an outbox before something happens to it


async def preload(harness: FaultHarness) -> None:
    """Put the shim below the relay."""
    harness.settings["outbox"] = {"write_timeout_s": _WRITE_TIMEOUT_S}
    harness.shim = Shim(harness.directory, harness.directory / "relay-0" / "outbox")
    harness.environment = harness.shim.environment


def _failing(
    name: str,
    status: int,
    lasts_s: Callable[[Size], float] = lambda size: size.hold_s,
    **faults: Any,
) -> Scenario:
    """Let the shim cause faults until deliveries get that answer, and then for a while."""

    async def strike(harness: FaultHarness) -> None:
        async with harness.fault(name):
            harness.shim.set(**faults)
            await harness.answers(status)
            await harness.hold(lasts_s(harness.size))
            harness.shim.set()
            await harness.delivers()

    return Scenario(
        name=name,
        strike=strike,
        prepare=preload,
        lacks=shim.lacks,
        must_accept_all=status == ACCEPTED,
    )


# A full disk.


def _mount_lacks() -> str:
    return "" if os.geteuid() == 0 else "only root may mount a small disk"


async def _mount(harness: FaultHarness) -> None:
    disk = harness.directory / "disk"
    await asyncio.to_thread(disk.mkdir)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(disk)]
    await asyncio.to_thread(subprocess.run, mount, check=True)
    unmount = ["umount", "-l", str(disk)]
    harness.on_exit(lambda: asyncio.to_thread(subprocess.run, unmount, check=True))
    harness.settings["outbox"] = {"directory": str(disk / "outbox")}


async def _fill(harness: FaultHarness) -> None:
    filler = harness.directory / "disk" / "filler"
    async with harness.fault("disk full"):
        await asyncio.to_thread(_take_all, filler)
        await harness.answers(UNAVAILABLE)
        await harness.hold()
        await asyncio.to_thread(filler.unlink)
        await harness.delivers()


def _take_all(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


# A corrupt or missing file.


@contextlib.asynccontextmanager
async def _without_broker(harness: FaultHarness) -> AsyncIterator[None]:
    """Let events gather in the outbox during the block."""
    harness.proxy.cut(refuse=True)
    try:
        await harness.acknowledges(_WAITING)
        yield
    finally:
        harness.proxy.is_open = True


async def _corrupt(harness: FaultHarness) -> None:
    """Clear the header of the database between two runs; the rest is read to see what it held."""
    path = harness.relay.outbox / database.FILE_NAME
    async with harness.fault("outbox corrupt"):
        async with _without_broker(harness):
            await harness.relay.take_away()
            header = await asyncio.to_thread(_clear_header, path)
            before = set(path.parent.glob("*.corrupt-*"))
            await harness.relay.bring_back()
            (aside,) = set(path.parent.glob("*.corrupt-*")) - before
            await asyncio.to_thread(_overwrite, aside, header)
            with contextlib.closing(sqlite3.connect(f"{aside.as_uri()}?mode=ro", uri=True)) as db:
                harness.salvaged += kept_in(db)
        await harness.delivers()


def _clear_header(path: Path) -> bytes:
    header = path.read_bytes()[:_HEADER_BYTES]
    _overwrite(path, bytes(_HEADER_BYTES))
    return header


def _overwrite(path: Path, header: bytes) -> None:
    with path.open("r+b") as file:
        file.write(header)


async def _delete(harness: FaultHarness) -> None:
    async with harness.fault("outbox deleted"):
        async with _without_broker(harness):
            await asyncio.to_thread(shutil.rmtree, harness.relay.outbox)
            await harness.answers(UNAVAILABLE)
        await eventually(harness.relay.has_caught_up, harness.size.settle_s)
        await harness.delivers()


SCENARIOS = [
    Scenario(name="disk-full", strike=_fill, prepare=_mount, lacks=_mount_lacks),
    _failing("disk-read-only", UNAVAILABLE, write_errno=shim.READ_ONLY),
    _failing("fsync-failing", UNAVAILABLE, sync_errno=shim.BROKEN),
    _failing("disk-hanging", UNAVAILABLE, lambda size: size.disk_hang_s, hangs=True),
    _failing("fsync-slow", ACCEPTED, sync_delay_s=_SLOW_SYNC_S),
    Scenario(name="outbox-corrupt", strike=_corrupt, through_proxy=True),
    Scenario(name="outbox-deleted", strike=_delete, through_proxy=True),
]
