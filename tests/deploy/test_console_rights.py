"""The console as RabbitMQ's user `console`, on a real node: its work goes, and nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import LiteralString, cast

import aio_pika
import psycopg
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused
from psycopg.errors import InsufficientPrivilege

from consumers.archive.service import archive_at
from consumers.kit.queues import topology as services
from deploy.local.node import PrivateBroker
from relay.broker.connection import declare
from relay.events.topology import feed_queue
from tests.deploy.test_compose import as_role
from tests.deploy.test_rabbitmq_definitions import PASSWORDS, run, written
from tests.support.archives import archived, event, found, opened_archive
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.console import Browser, fields_of, groups_in, opened_console

README = Path("deploy/README.md").read_text()
SERVICE = "notify-missed"
DEAD = services.dead_queue(SERVICE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A broker that has the definitions, with passwords."""
    directory = tmp_path_factory.mktemp("rights")
    with PrivateBroker(directory / "node") as node:
        definitions = directory / "definitions.json"
        definitions.write_text(run(written(directory / "passwords", PASSWORDS)).stdout)
        node.ctl("import_definitions", str(definitions))
        yield node


def url_of(node: PrivateBroker, user: str) -> str:
    return f"amqp://{user}:{PASSWORDS[user]}@127.0.0.1:{node.port}/"


@pytest.fixture
async def operator(node: PrivateBroker) -> AsyncIterator[AbstractConnection]:
    async with await aio_pika.connect(url_of(node, "operator")) as connection:
        wanted = services.topology(SERVICE, retry_delays_s=[1], dead_max_length=100)
        await declare(connection, wanted, passive=False)
        channel = await connection.channel()
        for name in ("webhooks.quarantine", "webhooks.unrouted", SERVICE, DEAD):
            await (await channel.declare_queue(name, passive=True)).purge()
        yield connection


@pytest.fixture
async def console(
    node: PrivateBroker,
    tmp_path: Path,
    operator: AbstractConnection,  # noqa: ARG001  declares what the service would
) -> AsyncIterator[Browser]:
    async with opened_console(
        tmp_path,
        broker_url=url_of(node, "console"),
        exchange="webhooks",
        console=f'services = {{"{SERVICE}" = ""}}',
    ) as browser:
        yield browser


async def depth(connection: AbstractConnection, name: str) -> int:
    channel = await connection.channel()
    queue = await channel.declare_queue(name, passive=True)
    await channel.close()
    return queue.declaration_result.message_count or 0


async def has(connection: AbstractConnection, name: str, count: int) -> bool:
    return await depth(connection, name) == count


async def put(connection: AbstractConnection, queue: str, body: bytes, **headers: str) -> None:
    channel = await connection.channel()
    message = aio_pika.Message(body, message_id="1" * 32, headers=dict(headers))
    await channel.default_exchange.publish(message, routing_key=queue)
    await channel.close()


async def test_it_counts_what_waits_also_where_it_may_not_read(
    console: Browser, operator: AbstractConnection
) -> None:
    for name in ("webhooks.unrouted", "webhooks.quarantine", DEAD):
        await put(operator, name, b"{}")

    async def shows_three() -> bool:
        return "3 messages in 3 queues need a person" in (await console.get("/"))[1]

    await eventually(shows_three)


async def test_it_releases_puts_back_and_drops(
    console: Browser, operator: AbstractConnection
) -> None:
    delivery = {"source": "swiftsell", "vendor": "swiftsell", "reason": "not_json",
                "received_at": "2026-11-28T19:40:00Z", "delivery_id": "d1"}  # fmt: skip
    await put(operator, "webhooks.quarantine", numbered(1)[0], **delivery)
    await put(operator, DEAD, b"{}", **{"x-death-reason": "no"})

    for queue, action, target in (
        ("webhooks.quarantine", "release", "webhooks.unrouted"),
        (DEAD, "retry", SERVICE),
    ):
        (link,) = [each for each in groups_in((await console.get("/triage"))[1]) if queue in each]
        await console.post("/triage/act", fields_of(link) | {"action": action, "count": "1"})
        await eventually(lambda target=target: has(operator, target, 1))
        await eventually(lambda queue=queue: has(operator, queue, 0))

    await put(operator, DEAD, b"{}")
    fields = fields_of(groups_in((await console.get("/triage"))[1])[0])
    await console.post("/triage/act", fields | {"action": "drop", "count": "1", "typed": "1"})
    await eventually(lambda: has(operator, DEAD, 0))


async def comes(lines: AsyncIterator[str], text: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        async for line in lines:
            if text in line:
                return


async def test_its_feed_shows_events(
    console: Browser, operator: AbstractConnection, node: PrivateBroker, tmp_path: Path
) -> None:
    directory = tmp_path / "relay"
    directory.mkdir()
    broker = {"urls": [url_of(node, "relay")], "declare_topology": False}
    async with RelayProcess(directory, broker_url="", broker=broker) as relay:
        async with console.stream("/feed/stream") as lines:
            await comes(lines, '"error": ""')  # the first line says that there is no broker yet
            await post_all(relay.url, numbered(1))
            await comes(lines, '"published"')

        async def goes_unrouted() -> bool:
            await post_all(relay.url, numbered(1))
            return await depth(operator, "webhooks.unrouted") > 0

        await eventually(goes_unrouted)  # so the feed's queue is gone


async def _consume(channel: AbstractChannel, name: str) -> None:
    queue = await channel.get_queue(name, ensure=False)
    await queue.get(fail=False)


async def _publish(channel: AbstractChannel, exchange: str, key: str = "x.y") -> None:
    found = await channel.get_exchange(exchange, ensure=False) if exchange else None
    await (found or channel.default_exchange).publish(aio_pika.Message(b"x"), key, mandatory=False)
    await channel.declare_queue("webhooks.quarantine", passive=True)  # has the refusal come?


async def _bind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, "#")


Attempt = Callable[[AbstractChannel], Awaitable[object]]
REFUSED: dict[str, Attempt] = {
    "declare a queue": lambda channel: channel.declare_queue("webhooks.x", durable=True),
    "declare a queue like a feed's": lambda channel: channel.declare_queue("console.feed.x.y"),
    "declare an exchange": lambda channel: channel.declare_exchange("x", "topic"),
    "delete an exchange": lambda channel: channel.exchange_delete("webhooks"),
    "delete the quarantine": lambda channel: channel.queue_delete("webhooks.quarantine"),
    "delete dead letters": lambda channel: channel.queue_delete(DEAD),
    "read unrouted events": lambda channel: _consume(channel, "webhooks.unrouted"),
    "read a service's queue": lambda channel: _consume(channel, SERVICE),
    "read what waits for a retry": lambda channel: _consume(channel, f"{SERVICE}.retry.1s"),
    "publish into any queue": lambda channel: _publish(channel, "", SERVICE),
    "publish past the events' exchange": lambda channel: _publish(channel, "webhooks.unrouted"),
    "publish elsewhere": lambda channel: _publish(channel, "amq.topic"),
    "bind a service's queue": lambda channel: _bind(channel, SERVICE, "webhooks"),
    "bind dead letters": lambda channel: _bind(channel, DEAD, "webhooks"),
}


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("attempt", REFUSED)
async def test_it_may_do_nothing_else(node: PrivateBroker, attempt: str) -> None:
    async with await aio_pika.connect(url_of(node, "console")) as connection:
        channel = await connection.channel()

        with pytest.raises(ChannelAccessRefused):
            await REFUSED[attempt](channel)


@pytest.mark.parametrize(("count", "size"), [(10_500, 10), (20, 4 * 1024 * 1024)])
async def test_a_feed_that_nobody_reads_holds_nothing_back(
    node: PrivateBroker, operator: AbstractConnection, count: int, size: int
) -> None:
    async with await aio_pika.connect(url_of(node, "console")) as watching:
        wanted = feed_queue(f"{count:x}")
        channel = await watching.channel()
        queue = await channel.declare_queue(
            wanted.name, exclusive=True, auto_delete=True, arguments=wanted.arguments
        )
        await queue.bind("webhooks", "#")
        publishing = await operator.channel()
        exchange = await publishing.get_exchange("webhooks", ensure=False)

        for first in range(0, count, 500):  # each is confirmed, or this raises
            await asyncio.gather(
                *[
                    exchange.publish(aio_pika.Message(bytes(size)), f"x.{number}")
                    for number in range(first, min(count, first + 500))
                ]
            )

        left = (await queue.declare()).message_count or 0
        assert 0 < left < count
        assert left <= wanted.arguments["x-max-length"]
        assert left * size <= wanted.arguments["x-max-length-bytes"]
        assert await depth(operator, "webhooks.unrouted") == 0


async def test_it_searches_an_archive_that_it_may_only_read(postgres_url: str) -> None:
    found_in = re.search("`(GRANT [^`]+)`", README)
    assert found_in
    reading = as_role("console", postgres_url)
    async with opened_archive(postgres_url) as archive:
        await archive.append([event("e1")])
        with psycopg.connect(postgres_url) as db:
            db.execute("CREATE ROLE console LOGIN")
            db.execute(cast("LiteralString", found_in[1]))

        assert found(archive_at(reading)) == archived(event("e1"))
        with psycopg.connect(reading) as db, pytest.raises(InsufficientPrivilege):
            db.execute("DELETE FROM archive")
        with psycopg.connect(postgres_url) as db:
            db.execute("DROP OWNED BY console")
            db.execute("DROP ROLE console")
