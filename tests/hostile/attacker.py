"""Raw sockets: send a shot, hear what comes back, say what is wrong with it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson

from tests.hostile.attack import CUT, LAST, Attack, Shot
from tests.support.eventually import LIMIT_S

_LAST_STATUS = 404
_END_LIMIT_S = 4 * LIMIT_S  # megabytes of hostile JSON take long beside other tests
_AT_ONCE = 8
"""Connections that shoot together: enough to add up, and still the same peak in every run."""
_OPENED_AT_ONCE = 100  # a listener's backlog is 128
_OUR_HEADERS = {
    *(b"content-type", b"content-length", b"date", b"server"),
    *(b"connection", b"allow", b"retry-after"),
    *(b"cache-control", b"x-content-type-options", b"x-hook-secret"),  # of answers to questions
}


@dataclass(slots=True)
class Heard:
    """What one connection got back.

    Args:
        statuses: of the answers to the shot.
        ids: of what was accepted or quarantined.
        headers: the names of all headers.
        is_open: whether the connection was good for one more request.
        is_all_sent: whether that request was sent.
        is_over: whether it came to an end, within a generous limit.
    """

    statuses: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    headers: set[bytes] = field(default_factory=set)
    is_open: bool = False
    is_all_sent: bool = False
    is_over: bool = False

    def problem(self, shot: Shot) -> str:
        """Return what should not have happened, "" if all is well."""
        found = Counter(self.statuses)
        if not self.is_over:
            return f"{shot.what}: answered {dict(found)} and left open"
        if len(self.statuses) != shot.answers or not found.keys() <= shot.statuses:
            wanted = " or ".join(map(str, sorted(shot.statuses)))
            return f"{shot.what}: answered {dict(found)}, not {shot.answers} times {wanted}"
        if shot.closes and self.is_open:
            return f"{shot.what}: the connection was left open"
        if odd := self.headers - _OUR_HEADERS:
            return f"{shot.what}: answered with headers {odd}"
        return ""


async def strike(port: int, attack: Attack) -> list[tuple[Shot, Heard]]:
    """Fire all shots of an attack; return what was heard, in no order."""
    heard: list[tuple[Shot, Heard]] = []
    shots = iter(attack.shots())  # made when their turn comes: some are megabytes

    async def shoot() -> None:
        for shot in shots:
            answer = await fire(port, shot)
            heard.append((shot, answer))

    async with _idle(port, attack.idle), asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(shoot())
    return heard


@contextlib.asynccontextmanager
async def _idle(port: int, count: int) -> AsyncIterator[None]:
    """Hold connections open that say nothing."""
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, count, _OPENED_AT_ONCE):
        opening = [
            asyncio.open_connection("127.0.0.1", port)
            for _ in range(min(_OPENED_AT_ONCE, count - start))
        ]
        writers += [writer for _, writer in await asyncio.gather(*opening)]
    try:
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


async def fire(port: int, shot: Shot) -> Heard:
    """Fire one shot over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = Heard()
    sending = asyncio.create_task(_send(writer, shot, heard))
    try:
        if shot.deaf_s:
            await asyncio.wait({sending}, timeout=shot.deaf_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_LIMIT_S):
                await _hear(reader, shot, heard)
                heard.is_over = True
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        writer.transport.abort()
    return heard


async def _send(writer: asyncio.StreamWriter, shot: Shot, heard: Heard) -> None:
    with contextlib.suppress(ConnectionError):
        for piece in shot.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(shot.pace_s)
            if len(heard.statuses) >= shot.answers:
                return
        heard.is_all_sent = True
        writer.write(LAST)
        await writer.drain()


async def _hear(reader: asyncio.StreamReader, shot: Shot, heard: Heard) -> None:
    """Read answers to the end, or until there are enough of them in the middle of the shot."""
    is_last = False
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while heard.is_all_sent or len(heard.statuses) < shot.answers:
            status, headers, body = await _answer(reader)
            heard.statuses.append(status)
            heard.headers |= headers
            is_last = status == _LAST_STATUS and b"connection" in headers
            if status == 200 and body.startswith(b'{"status"'):  # and no answer to a question
                document = orjson.loads(body)
                heard.ids += document.get("events", [document["id"]] if "id" in document else [])
    if is_last and heard.is_all_sent:
        heard.is_open = True
        heard.statuses.pop()
    if shot.answers and not heard.statuses:
        heard.statuses.append(CUT)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, set[bytes], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head.rstrip().split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    body = await reader.readexactly(int(headers[b"content-length"]))
    return int(status_line.split()[1]), set(headers), body
