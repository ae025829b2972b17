"""The consumer without the kit, as shown, reads events, whatever the names of broker and queue."""

import sys
from pathlib import Path

from aio_pika.abc import AbstractConnection

from tests.interop.conftest import SendAll, is_consumed, running
from tests.support.eventually import eventually
from tests.unit.test_readme_consumers import block


def written(language: str, containing: str, path: Path, environment: dict[str, str]) -> str:
    """Write the program into a file, with the names of this test; return where it is."""
    source = block(language, containing)
    for shown, name in (
        ("amqp://guest:guest@127.0.0.1:5672/", "BROKER_URL"),
        ("webhooks", "EXCHANGE"),
        ("crm-script", "QUEUE"),
    ):
        assert f'"{shown}"' in source
        source = source.replace(f'"{shown}"', f'"{environment[name]}"')
    path.write_text(source)
    return str(path)


async def reads_all(
    *command: str, send_all: SendAll, connection: AbstractConnection, environment: dict[str, str]
) -> None:
    async with running(*command, PYTHONUNBUFFERED="1") as program:
        await eventually(lambda: is_consumed(connection, environment["QUEUE"]))
        sent = await send_all()
        missing = {
            f"{event.routing_key} {event.id}" for event in sent if event.type.startswith("message.")
        }
        assert missing
        while missing:
            missing.discard(" ".join((await program.line()).split()[:2]))


async def test_the_python_consumer_reads_events(
    send_all: SendAll, environment: dict[str, str], connection: AbstractConnection, tmp_path: Path
) -> None:
    program = written("python", "connect_robust", tmp_path / "reader.py", environment)

    await reads_all(
        sys.executable,
        program,
        send_all=send_all,
        connection=connection,
        environment=environment,
    )
