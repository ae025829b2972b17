"""A broker that heartbeats and answers everything but one method: alive, and of no use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pamqp import commands, frame, header, heartbeat
from pamqp.base import Frame

_FIELDS = {
    "Queue.DeclareOk": {"queue": "q", "message_count": 0, "consumer_count": 0},
    "Basic.ConsumeOk": {"consumer_tag": "tag"},
    "Basic.GetEmpty": {},
}


@contextlib.asynccontextmanager
async def silent_on(method: str) -> AsyncIterator[str]:
    """Listen, and yield the URL. What is named like `Queue.Declare` gets no answer."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await _serve(reader, writer, method)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
    assert (await reader.readexactly(8)).startswith(b"AMQP")
    capabilities = {"publisher_confirms": True, "basic.nack": True}
    start = commands.Connection.Start(server_properties={"capabilities": capabilities})
    writer.write(frame.marshal(start, 0))
    opened = asyncio.Event()
    beating = asyncio.create_task(_heartbeat(writer, opened))
    published = 0
    try:
        while True:
            channel, asked = await _read(reader)
            published += isinstance(asked, commands.Basic.Publish)
            answer = _answer(asked, published)
            if answer is None or asked.name == method:
                continue
            writer.write(frame.marshal(answer, channel))
            if isinstance(answer, commands.Connection.OpenOk):
                opened.set()
    finally:
        beating.cancel()


async def _heartbeat(writer: asyncio.StreamWriter, opened: asyncio.Event) -> None:
    await opened.wait()
    while True:
        await asyncio.sleep(0.5)
        writer.write(frame.marshal(heartbeat.Heartbeat(), 0))


async def _read(reader: asyncio.StreamReader) -> tuple[int, Frame]:
    head = await reader.readexactly(7)
    rest = await reader.readexactly(int.from_bytes(head[3:]) + 1)
    _, channel, asked = frame.unmarshal(head + rest)
    return channel, asked


def _answer(asked: object, published: int) -> Frame | None:
    match asked:
        case commands.Connection.StartOk():
            return commands.Connection.Tune(channel_max=2047, frame_max=131072, heartbeat=10)
        case commands.Connection.TuneOk() | header.ContentHeader():
            return None
        case commands.Basic.Publish():
            return commands.Basic.Ack(delivery_tag=published)
        case commands.Basic.Get():
            return commands.Basic.GetEmpty()
        case Frame(synchronous=True):
            name = asked.valid_responses[0]
            kind, _, reply = name.partition(".")
            answer: Frame = getattr(getattr(commands, kind), reply)(**_FIELDS.get(name, {}))
            return answer
        case _:
            return None
