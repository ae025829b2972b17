"""An outbox's file that an earlier version wrote. What was acknowledged then is delivered now.

`schema-1.db` was written by the release before the outbox's modules got a folder of their own: 22
events and 5 quarantined deliveries of the vendors' samples, two of them with a `traceparent`. It
was stopped in order, so all of this is in one file: there is no log of SQLite's beside it.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from relay.events.topology import quarantine_exchange
from relay.outbox import database
from tests.broker.conftest import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess

OLD_FILE = Path(__file__).with_name("schema-1.db")
OLD_URI = f"{OLD_FILE.as_uri()}?immutable=1"  # else SQLite leaves a log beside it


class Wired(NamedTuple):
    """A message as AMQP carries it."""

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


@pytest.fixture
async def received(
    connection: AbstractConnection, recorder: Recorder
) -> AsyncIterator[list[Wired]]:
    """All that is published, in the order of arrival, beside the recorder."""
    messages: list[Wired] = []

    async def note(message: DeliveredMessage) -> None:
        properties = message.header.properties.marshal()
        source, key = message.delivery.exchange, message.delivery.routing_key
        messages.append(Wired(source, key, properties, message.body))

    channel = await connection.channel()
    wire = await channel.get_underlay_channel()
    queue = (await wire.queue_declare(exclusive=True)).queue
    for name in (recorder.exchange, quarantine_exchange(recorder.exchange)):
        await wire.queue_bind(queue, name, routing_key="#")
    await wire.basic_consume(queue, note, no_ack=True)
    yield messages
    await channel.close()


def rows_of(uri: str, exchange: str) -> list[Wired]:
    columns = "is_quarantined, routing_key, properties, body"
    with closing(sqlite3.connect(uri, uri=True)) as db:
        rows = db.execute(f"SELECT {columns} FROM outbox ORDER BY seq").fetchall()  # noqa: S608  constants
    quarantine = quarantine_exchange(exchange)
    return [
        Wired(quarantine if is_quarantined else exchange, *message)
        for is_quarantined, *message in rows
    ]


async def test_an_earlier_versions_outbox_is_delivered_byte_for_byte(
    tmp_path: Path, broker_url: str, exchange: str, received: list[Wired]
) -> None:
    rows = rows_of(OLD_URI, exchange)
    path = tmp_path / "outbox" / database.FILE_NAME
    path.parent.mkdir()
    shutil.copyfile(OLD_FILE, path)

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: len(received) >= len(rows))
        await eventually(relay.is_drained)

    assert len(rows) == 27
    assert received == rows
    assert rows_of(f"{path.as_uri()}?mode=ro", exchange) == []


async def test_a_damaged_row_goes_out_and_so_does_what_is_behind_it(
    tmp_path: Path, broker_url: str, exchange: str, received: list[Wired]
) -> None:
    path = tmp_path / "outbox" / database.FILE_NAME
    path.parent.mkdir()
    shutil.copyfile(OLD_FILE, path)
    with closing(sqlite3.connect(path)) as db, db:
        (first,) = db.execute("SELECT min(seq) FROM outbox WHERE NOT is_quarantined").fetchone()
        damage = "UPDATE outbox SET routing_key = CAST(X'7377FF' AS TEXT) WHERE seq = ?"
        db.execute(damage, (first,))
    rows = rows_of(OLD_URI, exchange)

    async with RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange) as relay:
        await eventually(lambda: len(received) >= len(rows))
        await eventually(relay.is_drained)

    damaged = rows[first - 1]._replace(routing_key="sw\ufffd")
    assert received == [*rows[: first - 1], damaged, *rows[first:]]


def test_the_schema_has_not_changed(tmp_path: Path) -> None:
    new = database.connect(tmp_path / database.FILE_NAME, 1 << 30)

    with closing(sqlite3.connect(OLD_URI, uri=True)) as old, closing(new):
        versions = [db.execute("PRAGMA user_version").fetchone() for db in (old, new)]
        columns = [db.execute("PRAGMA table_info(outbox)").fetchall() for db in (old, new)]

    assert versions == [(1,), (1,)]
    assert columns[0] == columns[1]


def test_nothing_is_left_beside_the_file() -> None:
    rows_of(OLD_URI, "webhooks")

    assert [path.name for path in OLD_FILE.parent.glob(f"{OLD_FILE.name}*")] == [OLD_FILE.name]
