"""A Node program reads a relay's events with amqplib, and needs nothing of ours."""

import json
from pathlib import Path

from aio_pika.abc import AbstractConnection

from tests.interop import nodejs
from tests.interop.conftest import SendAll, running, waiting_in


async def test_a_node_program_reads_the_events_of_its_patterns(
    node_modules: Path,
    send_all: SendAll,
    environment: dict[str, str],
    connection: AbstractConnection,
) -> None:
    async with running(
        "node",
        str(nodejs.HERE / "amqplib_reader.js"),
        NODE_PATH=str(node_modules),
        PATTERNS="*.message.#,*.conversation.closed",
        **environment,
    ) as program:
        assert await program.line() == "ready"
        wanted = [
            event
            for event in await send_all()
            if event.type.startswith("message.") or event.type == "conversation.closed"
        ]
        lines = [json.loads(await program.line()) for _ in wanted]
        code = await program.stop()

    assert {event.type for event in wanted} >= {"message.created", "conversation.closed"}
    assert sorted(lines, key=str) == sorted([event.line for event in wanted], key=str)
    assert (code, await waiting_in(connection, environment["QUEUE"])) == (0, 0)
