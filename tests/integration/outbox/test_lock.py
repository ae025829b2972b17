"""One process per outbox."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from relay.errors import OutboxError
from relay.outbox.lock import LOCK_NAME, lock
from tests.integration.outbox.conftest import Open


async def test_a_second_process_is_kept_out(open_outbox: Open, directory: Path) -> None:
    await open_outbox()

    with pytest.raises(OutboxError, match=rf"in use by another relay \(process {os.getpid()}\)"):
        await open_outbox()

    code = (
        "import asyncio,sys; from pathlib import Path; from relay.outbox.outbox import Outbox;"
        "asyncio.run(Outbox(directory=Path(sys.argv[1]), max_bytes=1<<30,"
        " committed=asyncio.Event()).open())"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(directory)), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"in use by another relay" in errors


async def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))  # no file may grow by a byte

    try:
        taken = lock(tmp_path)
        taken.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, ignored)

    assert taken.closed
