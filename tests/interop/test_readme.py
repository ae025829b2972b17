"""The consumer without the kit, as shown, reads events, whatever the names of broker and queue."""

import sys
from pathlib import Path

from aio_pika.abc import AbstractConnection

from tests.interop.conftest import SendAll, read_messages, running
from tests.unit.test_readme_consumers import block


def written(path: Path, environment: dict[str, str]) -> str:
    """Write the program into a file, with the names of this test; return where it is."""
    source = block("python", "connect_robust")
    for shown, name in (
        ("amqp://guest:guest@127.0.0.1:5672/", "BROKER_URL"),
        ("webhooks", "EXCHANGE"),
        ("crm-script", "QUEUE"),
    ):
        assert f'"{shown}"' in source
        source = source.replace(f'"{shown}"', f'"{environment[name]}"')
    path.write_text(source)
    return str(path)


async def test_the_python_consumer_reads_events(
    send_all: SendAll, environment: dict[str, str], connection: AbstractConnection, tmp_path: Path
) -> None:
    script = written(tmp_path / "reader.py", environment)

    async with running(sys.executable, script, PYTHONUNBUFFERED="1") as program:
        await read_messages(program, send_all, connection, environment["QUEUE"])
