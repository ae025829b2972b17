"""A FastStream service reads a relay's events, and needs nothing of ours."""

import json
import sys
from pathlib import Path

from aio_pika.abc import AbstractConnection

from tests.interop.conftest import SendAll, running, waiting_in

SERVICE = Path(__file__).with_name("faststream_service.py")


async def test_a_faststream_service_reads_the_events_of_its_pattern(
    send_all: SendAll, environment: dict[str, str], connection: AbstractConnection
) -> None:
    async with running(
        sys.executable, str(SERVICE), PATTERN="*.message.#", **environment
    ) as program:
        assert await program.line() == "ready"
        wanted = [event for event in await send_all() if event.type.startswith("message.")]
        lines = [json.loads(await program.line()) for _ in wanted]
        code = await program.stop()

    assert len({event.line["vendor"] for event in wanted}) >= 4
    assert sorted(lines, key=str) == sorted([event.line for event in wanted], key=str)
    assert (code, await waiting_in(connection, environment["QUEUE"])) == (0, 0)
