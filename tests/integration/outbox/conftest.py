"""Outboxes on a real disk."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from relay.events.message import Message
from relay.outbox.outbox import Outbox
from tests.support.eventually import LIMIT_S

Open = Callable[..., Awaitable[Outbox]]


def message(name: str = "a", size: int = 100) -> Message:
    return Message(
        id=name,
        routing_key="swiftsell.message.created.text",
        properties=b"\0\0",
        body=b"b" * size,
        received_at=1_700_000_000.5,
    )


async def is_empty(box: Outbox) -> bool:
    return not (await box.stats()).depth


async def execute(box: Outbox, statement: str) -> Any:
    """Execute a statement over the outbox's own connection, and return the first row."""
    return await box._thread.do(lambda: box._store.db.execute(statement).fetchone())


async def let_disk_fail(box: Outbox) -> None:
    """Let all writes fail, as on a file system that turned read-only."""
    await execute(box, "PRAGMA query_only = ON")


async def let_disk_recover(box: Outbox) -> None:
    await execute(box, "PRAGMA query_only = OFF")


class HeldInsert:
    """Stops the outbox's thread at its next insert, until it may go."""

    def __init__(self, box: Outbox) -> None:
        self.is_held, self.may_go = threading.Event(), threading.Event()
        box._store.db.set_trace_callback(self._trace)

    def hold_next(self) -> None:
        """Let the insert that is held go, but not the one after it."""
        self.is_held.clear()
        may_go, self.may_go = self.may_go, threading.Event()
        may_go.set()

    def _trace(self, statement: str) -> None:
        if statement.startswith("INSERT"):
            may_go = self.may_go
            self.is_held.set()
            may_go.wait(LIMIT_S)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
async def open_outbox(directory: Path) -> AsyncIterator[Open]:
    """Open an outbox; it is closed at the end if the test has not done so."""
    boxes: list[Outbox] = []

    async def open_outbox(**options: Any) -> Outbox:
        arguments = {"directory": directory, "max_bytes": 1 << 30, "committed": asyncio.Event()}
        box = Outbox(**{**arguments, **options})
        await box.open()
        boxes.append(box)
        return box

    yield open_outbox
    for box in boxes:
        if not box._is_closed:
            await box.close()
