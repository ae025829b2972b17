"""No speed bought with safety: fsync, confirms, persistence, quorum queues, seen from outside.

What the relay says of itself does not count here: the wire is read between it and the broker, and
its system calls by strace.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelPreconditionFailed
from pamqp import commands, frame, header

from deploy.local import package
from relay.configured import topology_of
from relay.settings import BrokerSettings, Settings
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.proxy import Direction, Proxy

_PROTOCOL_HEADER_BYTES = 8

APPENDING = """
import asyncio, sys
from pathlib import Path
from relay.events.message import Message
from relay.outbox.outbox import Outbox

async def main():
    outbox = Outbox(directory=Path(sys.argv[1]), max_bytes=1 << 30, committed=asyncio.Event())
    await outbox.open()
    for name in "abc":
        message = Message(id=name, routing_key="k", properties=b"", body=b"b", received_at=1.5)
        await outbox.append([message])
        print("acknowledged", name, file=sys.stderr, flush=True)
    await outbox.close()

asyncio.run(main())
"""


class Wire(Proxy):
    """A proxy that keeps what the relay sends."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent = bytearray()

    def _what_passes(self, chunk: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        if direction is self.to_broker:
            self.sent += chunk
        return super()._what_passes(chunk, sink, direction)

    def frames(self) -> Iterator[object]:
        """Yield what the relay has sent, after the protocol header."""
        left = bytes(self.sent[_PROTOCOL_HEADER_BYTES:])
        while left:
            size, _, found = frame.unmarshal(left)
            yield found
            left = left[size:]


async def test_every_message_is_mandatory_persistent_and_in_confirm_mode(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with Wire(broker_url) as wire:
        relay = RelayProcess(tmp_path, broker_url=wire.url, exchange=exchange)
        async with relay:
            await post_all(relay.url, numbered(100))
            await recorder.has(100)
            await eventually(relay.is_drained)
        frames = list(wire.frames())

    kinds = [type(frame) for frame in frames]
    publishes = [frame for frame in frames if isinstance(frame, commands.Basic.Publish)]
    headers = [frame for frame in frames if isinstance(frame, header.ContentHeader)]
    assert len(publishes) == len(headers) == 100
    assert all(publish.mandatory for publish in publishes)
    assert {content.properties.delivery_mode for content in headers} == {2}
    assert kinds.index(commands.Confirm.Select) < kinds.index(commands.Basic.Publish)


async def test_an_event_stays_in_the_outbox_until_its_confirm_is_there(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder
) -> None:
    async with Wire(broker_url) as wire:
        relay = RelayProcess(tmp_path, broker_url=wire.url, exchange=exchange)
        async with relay:
            await post_all(relay.url, numbered(1))
            await recorder.has(1)
            await eventually(relay.is_drained)
            wire.to_relay.flows.clear()

            await post_all(relay.url, numbered(5, 1))

            await recorder.has(6)  # so the broker has them all
            assert not await relay.is_drained()
            wire.to_relay.flows.set()
            await eventually(relay.is_drained)


@pytest.mark.usefixtures("declared")
async def test_the_queues_are_quorum_queues(
    tmp_path: Path, broker_url: str, exchange: str, connection: AbstractConnection
) -> None:
    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: relay.lines("broker connected"))
    wanted = topology_of(Settings.model_construct(broker=BrokerSettings(exchange=exchange)))

    for queue in wanted.queues:
        channel = await connection.channel()
        with pytest.raises(ChannelPreconditionFailed, match="current is 'quorum'"):
            await channel.declare_queue(
                queue.name, durable=True, arguments=queue.arguments | {"x-queue-type": "classic"}
            )


@pytest.fixture
def strace() -> str:
    if shutil.which("strace") is None:
        try:
            package.install("strace", units=[])
        except package.PackageError as error:
            pytest.skip(f"needs the Debian package strace ({error})")
    return "strace"


def test_an_append_is_done_only_after_the_disk_has_it(tmp_path: Path, strace: str) -> None:
    trace = tmp_path / "trace"
    watched = "trace=fsync,fdatasync,write"
    command = [strace, "-f", "-y", "-e", watched, "-o", str(trace), sys.executable, "-c", APPENDING]
    found = subprocess.run([*command, str(tmp_path / "outbox")], capture_output=True, check=False)
    if b"ptrace" in found.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert found.returncode == 0, found.stderr

    story = re.findall(
        r"(fd?a?t?a?sync)\(\d+<[^>]*outbox\.db-wal>\)\s+= 0|(acknowledged)", trace.read_text()
    )
    steps = "".join("s" if synced else "a" for synced, _ in story)

    assert re.fullmatch(r"(s+a){3}s*", steps), steps
