"""A TCP proxy in front of the broker, so that a test can cut, stall and restore the wire."""

import asyncio
import contextlib
import random
import ssl
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNKS_ON_THE_WAY = 1000  # then a sender is held back, as by a window that is full
_GREETING = b"AMQP"
_GREETING_BYTES = 8
_FRAME_HEAD = struct.Struct(">BHI")  # type, channel, length; AMQP 0-9-1, 2.3.5
_FRAME_END_BYTES = 1


@dataclass(slots=True, kw_only=True)
class Direction:
    """What one direction does to the bytes that pass, on all connections.

    Args:
        flows: cleared, nothing passes, and nobody is told.
        delay_s: how late bytes arrive; they stay in order.
        stall_s, stalled_share: how long that share of all writes is kept back, with what follows.
        is_mute: whether only what sets connections up and keeps them alive passes; a connection
            that was mute stays so.
        cut_after_bytes: so many more bytes pass, then the connection that brings the next one is
            reset: most likely in the middle of a frame.
    """

    flows: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    stall_s: float = 0.0
    stalled_share: float = 0.0
    is_mute: bool = False
    cut_after_bytes: int | None = None
    cuts: int = 0

    def __post_init__(self) -> None:
        self.flows.set()

    def waits_s(self, lot: random.Random) -> float:
        """Return how long the next write is kept back."""
        return self.delay_s + (self.stall_s if lot.random() < self.stalled_share else 0.0)


class _Frames:
    """Cuts the bytes of one direction of a connection into whole frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_muted = False

    def take(self, chunk: bytes, *, is_muted: bool) -> bytes:
        """Return the frames that are complete by now: all, or once muted those of channel 0.

        What was swallowed once can't be resumed, as half of a message would be missing.
        """
        self._is_muted |= is_muted
        data = self._rest + chunk
        taken = []
        at = 0
        while (end := _end_of_frame(data, at)) <= len(data):
            if not (self._is_muted and _channel_of(data, at)):
                taken.append(data[at:end])
            at = end
        self._rest = data[at:]
        return b"".join(taken)


def _channel_of(data: bytes, at: int) -> int:
    return 0 if data.startswith(_GREETING, at) else int(_FRAME_HEAD.unpack_from(data, at)[1])


def _end_of_frame(data: bytes, at: int) -> int:
    """Return where the frame at that position ends; beyond the data if it is not complete."""
    if data.startswith(_GREETING, at):
        return at + _GREETING_BYTES
    if len(data) - at < _FRAME_HEAD.size:
        return len(data) + 1
    return at + _FRAME_HEAD.size + int(_FRAME_HEAD.unpack_from(data, at)[2]) + _FRAME_END_BYTES


class Proxy:
    """Forward bytes to the broker of `url` while `is_open`; with tls, be a TLS listener.

    `to_broker` and `to_relay` are the two directions, which may fail separately.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, seed: int = 1) -> None:
        self._tls = tls
        parsed = urlsplit(url)
        self._host, self._port = parsed.hostname or "127.0.0.1", parsed.port or 5672
        self._credentials = parsed.netloc.rpartition("@")[0]
        self._path = parsed.path
        self._random = random.Random(seed)  # noqa: S311  reproducible, not secret
        self.to_broker, self.to_relay = Direction(), Direction()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_open = True
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        scheme = "amqps" if self._tls else "amqp"
        self.url = f"{scheme}://{self._credentials}@127.0.0.1:{port}{self._path}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, refuse: bool = False) -> None:
        """Reset every connection now; with refuse, new ones, too, until is_open is set."""
        self.is_open = not refuse
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Keep connections open but pass nothing on, as a half-open network does."""
        for direction in (self.to_broker, self.to_relay):
            direction.flows.clear()

    def mute(self) -> None:
        """Let connections be set up and kept alive, and nothing else, as a stuck broker does."""
        for direction in (self.to_broker, self.to_relay):
            direction.is_mute = True

    def resume(self) -> None:
        """End a stall. Connections that are new are not mute any more."""
        for direction in (self.to_broker, self.to_relay):
            direction.flows.set()
            direction.is_mute = False

    @property
    def is_used(self) -> bool:
        """Return whether a connection is open."""
        return bool(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.is_open:
            writer.transport.abort()
            return
        self._writers.add(writer)  # before it is counted, so that what was counted can be cut
        self.connections += 1
        upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
        if writer.transport.is_closing():
            upstream_writer.transport.abort()
            return
        self._writers.add(upstream_writer)
        for source, sink, direction in (
            (reader, upstream_writer, self.to_broker),
            (upstream_reader, writer, self.to_relay),
        ):
            chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_ON_THE_WAY)
            self._spawn(self._take(source, direction, chunks))
            self._spawn(self._deliver(sink, direction, chunks))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(
        self,
        source: asyncio.StreamReader,
        direction: Direction,
        chunks: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        """Note when what comes is due on the other side; the end is the empty chunk."""
        now = asyncio.get_running_loop().time
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(65_536):
                await chunks.put((now() + direction.waits_s(self._random), chunk))
        await chunks.put((now(), b""))

    async def _deliver(
        self,
        sink: asyncio.StreamWriter,
        direction: Direction,
        chunks: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        now = asyncio.get_running_loop().time
        frames = _Frames()
        with contextlib.suppress(ConnectionError):
            while (due_and_chunk := await chunks.get())[1]:
                due, chunk = due_and_chunk
                if due > now():
                    await asyncio.sleep(due - now())
                await direction.flows.wait()
                chunk = frames.take(chunk, is_muted=direction.is_mute)
                sink.write(self._what_passes(chunk, sink, direction))
                await sink.drain()
        self._writers.discard(sink)
        sink.close()

    @staticmethod
    def _what_passes(chunk: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        """Return chunk, or its part before the cut that is set for this direction."""
        left = direction.cut_after_bytes
        if left is None:
            return chunk
        if len(chunk) <= left:
            direction.cut_after_bytes = left - len(chunk)
            return chunk
        direction.cut_after_bytes = None
        direction.cuts += 1
        # Closed, not aborted: the bytes before the cut are to arrive.
        asyncio.get_running_loop().call_soon(sink.close)
        return chunk[:left]
