"""The disk under the outbox fails: full, read-only, slow, no fsync; its file corrupt or gone."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from relay.outbox import database
from tests.faults import shim
from tests.faults.fault_harness import Stage
from tests.faults.journal import ACCEPTED, UNAVAILABLE
from tests.faults.receiver import kept_in
from tests.faults.scenario import Scenario
from tests.faults.shim import Shim
from tests.support.eventually import eventually

_DISK = "48m"
_SLOW_SYNC_S = 0.3
_HEADER_BYTES = 100
_WAITING = 50  # events in an outbox before something happens to it


async def preload(stage: Stage) -> None:
    """Put the shim below the relay."""
    stage.shim = Shim(stage.directory, stage.directory / "relay-0" / "outbox")
    stage.environment = stage.shim.environment


def _failing(name: str, fail: Callable[[Shim], None], status: int) -> Scenario:
    """Let the disk fail until deliveries get that answer, and then for a while."""

    async def strike(stage: Stage) -> None:
        async with stage.fault(name):
            fail(stage.shim)
            await stage.answers(status)
            await stage.hold()
            stage.shim.set()
            await stage.delivers()

    return Scenario(
        name=name,
        strike=strike,
        prepare=preload,
        lacks=shim.lacks,
        spares_senders=status == ACCEPTED,
    )


# A full disk.


def _mount_lacks() -> str:
    return "" if os.geteuid() == 0 else "only root may mount a small disk"


async def _mount(stage: Stage) -> None:
    disk = stage.directory / "disk"
    await asyncio.to_thread(disk.mkdir)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(disk)]
    await asyncio.to_thread(subprocess.run, mount, check=True)
    unmount = ["umount", "-l", str(disk)]
    stage.on_exit(lambda: asyncio.to_thread(subprocess.run, unmount, check=True))
    stage.settings["outbox"] = {"directory": str(disk / "outbox")}


async def _fill(stage: Stage) -> None:
    filler = stage.directory / "disk" / "filler"
    async with stage.fault("disk full"):
        await asyncio.to_thread(_take_all, filler)
        await stage.answers(UNAVAILABLE)
        await stage.hold()
        await asyncio.to_thread(filler.unlink)
        await stage.delivers()


def _take_all(filler: Path) -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


# A corrupt or missing file.


@contextlib.asynccontextmanager
async def _without_broker(stage: Stage) -> AsyncIterator[None]:
    """Let events gather in the outbox during the block."""
    stage.proxy.cut(refuse=True)
    try:
        await stage.acknowledges(_WAITING)
        yield
    finally:
        stage.proxy.is_open = True


async def _corrupt(stage: Stage) -> None:
    """Clear the header of the database between two runs; the rest is read to see what it held."""
    path = stage.relay.outbox / database.FILE_NAME
    async with stage.fault("outbox corrupt"):
        async with _without_broker(stage):
            await stage.relay.take_away()
            header = await asyncio.to_thread(_clear_header, path)
            before = set(path.parent.glob("*.corrupt-*"))
            await stage.relay.bring_back()
            (aside,) = set(path.parent.glob("*.corrupt-*")) - before
            await asyncio.to_thread(_overwrite, aside, header)
            with contextlib.closing(sqlite3.connect(f"{aside.as_uri()}?mode=ro", uri=True)) as db:
                stage.salvaged += kept_in(db)
        await stage.delivers()


def _clear_header(path: Path) -> bytes:
    header = path.read_bytes()[:_HEADER_BYTES]
    _overwrite(path, bytes(_HEADER_BYTES))
    return header


def _overwrite(path: Path, header: bytes) -> None:
    with path.open("r+b") as file:
        file.write(header)


async def _delete(stage: Stage) -> None:
    async with stage.fault("outbox deleted"):
        async with _without_broker(stage):
            await asyncio.to_thread(shutil.rmtree, stage.relay.outbox)
            await stage.answers(UNAVAILABLE)
        await eventually(stage.relay.has_caught_up, stage.size.settle_s)
        await stage.delivers()


SCENARIOS = [
    Scenario(name="disk-full", strike=_fill, prepare=_mount, lacks=_mount_lacks),
    _failing("disk-read-only", lambda it: it.set(write_errno=shim.READ_ONLY), UNAVAILABLE),
    _failing("fsync-failing", lambda it: it.set(sync_errno=shim.BROKEN), UNAVAILABLE),
    _failing("fsync-slow", lambda it: it.set(sync_delay_s=_SLOW_SYNC_S), ACCEPTED),
    Scenario(name="outbox-corrupt", strike=_corrupt, through_proxy=True),
    Scenario(name="outbox-deleted", strike=_delete, through_proxy=True),
]
