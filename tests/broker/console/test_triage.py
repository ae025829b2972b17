"""What waits for a person: looked at, tried, released, put back, dropped, over a real RabbitMQ."""

from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from consumers.kit.queues import topology as consumer_topology
from relay import vendors
from relay.broker.connection import declare
from relay.events import topology
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.servers.console import Browser, fields_of, groups_in, opened_console

HOSTILE = '<img src=x onerror=alert(1)>\u202e"&'


@pytest.fixture
async def quarantine(
    connection: AbstractConnection,
    exchange: str,
    declared: topology.Topology,
    recorder: Recorder,  # noqa: ARG001  before the console: its queue gets what is released
) -> aio_pika.abc.AbstractQueue:
    await declare(connection, declared, passive=False)
    channel = await connection.channel()
    name = topology.quarantine_exchange(exchange)
    return await channel.declare_queue(name, passive=True)


@pytest.fixture
async def dead(connection: AbstractConnection, name: str) -> str:
    wanted = consumer_topology.topology(name, retry_delays_s=[1], dead_max_length=100)
    await declare(connection, wanted, passive=False)
    return name


@pytest.fixture
async def browser(
    tmp_path: Path, broker_url: str, exchange: str, dead: str, quarantine: object
) -> AsyncIterator[Browser]:
    assert quarantine
    settings = (
        f'services = {{"{dead}" = ""}}\n'
        'tokens = {viewer = ["viewer-token"], reader = ["reader-token"], operator = ["oper-token"]}'
    )
    async with opened_console(
        tmp_path, broker_url=broker_url, exchange=exchange, console=settings
    ) as browser:
        yield browser


def as_role(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}-token"}


async def put_aside(
    connection: AbstractConnection, queue: str, body: bytes, number: int = 0, **headers: str
) -> None:
    channel = await connection.channel()
    given = {
        "source": "swiftsell", "vendor": "swiftsell", "reason": "not_json",
        "received_at": "2026-11-28T19:40:00Z", "delivery_id": f"d{number}", "number": "0",
        "content-type": "application/json", "headers": {"x-name": "value-of-it"}, **headers,
    }  # fmt: skip
    message = aio_pika.Message(body, message_id=f"{number:032x}", headers=dict(given))
    await channel.default_exchange.publish(message, routing_key=queue)


async def depth(queue: aio_pika.abc.AbstractQueue) -> int:
    return (await queue.declare()).message_count or 0


async def has(queue: aio_pika.abc.AbstractQueue, count: int) -> bool:
    return await depth(queue) == count


async def test_groups_are_counted_and_reading_uses_nothing_up(
    browser: Browser, connection: AbstractConnection, quarantine: aio_pika.abc.AbstractQueue
) -> None:
    for number in range(300):
        await put_aside(connection, quarantine.name, b"{", number)
    await put_aside(connection, quarantine.name, b"x", 999, reason="unknown_shape")

    for _ in range(2):
        status, page = await browser.get("/triage", **as_role("viewer"))

        assert status == 200
        assert '<td class="n">300</td>' in page
        assert len(groups_in(page)) == 2
    await eventually(lambda: has(quarantine, 301))


async def test_what_is_understood_by_now_is_tried_released_and_delivered(
    browser: Browser,
    connection: AbstractConnection,
    quarantine: aio_pika.abc.AbstractQueue,
    recorder: Recorder,
) -> None:
    body = vendors.samples("swiftsell")[1].read_bytes()
    await put_aside(connection, quarantine.name, body, 1)
    await put_aside(connection, quarantine.name, b"{", 2)
    _, page = await browser.get("/triage", **as_role("oper"))
    group = fields_of(groups_in(page)[0])

    _, tried = await browser.post("/triage/try", group, **as_role("oper"))
    assert "goes out as swiftsell.message.created.text" in tried
    assert "stays: it still is not understood (not_json)" in tried
    assert "Hiiiii" not in tried
    assert await depth(quarantine) == 2

    acting = group | {"action": "release", "count": "2", "rate": "0"}
    assert (await browser.post("/triage/act", acting, **as_role("oper")))[0] == 303
    await eventually(lambda: has(quarantine, 1))
    await eventually(lambda: len(recorder.messages) == 1)
    _, page = await browser.get("/triage", **as_role("viewer"))
    assert "1 of 2 released" in page
    assert "1 stay." in page


async def test_a_dead_letter_goes_back_to_its_service(
    browser: Browser, connection: AbstractConnection, dead: str
) -> None:
    name = consumer_topology.dead_queue(dead)
    for number in range(3):
        reason = f"timeout after {number}.5 s"
        await put_aside(connection, name, b"{}", number, **{"relay-reason": reason})
    channel = await connection.channel()
    own = await channel.declare_queue(dead, passive=True)
    _, page = await browser.get("/triage", **as_role("oper"))
    group = fields_of(groups_in(page)[0])

    acting = group | {"action": "retry", "count": "2", "rate": "200"}
    assert (await browser.post("/triage/act", acting, **as_role("oper")))[0] == 303

    await eventually(lambda: has(own, 2))
    message = await own.get()
    assert message.headers["relay-attempt"] == 1


async def test_dropping_needs_the_count_typed(
    browser: Browser, connection: AbstractConnection, quarantine: aio_pika.abc.AbstractQueue
) -> None:
    await put_aside(connection, quarantine.name, b"{", 1)
    _, page = await browser.get("/triage", **as_role("oper"))
    acting = fields_of(groups_in(page)[0]) | {"action": "drop", "count": "1", "rate": "0"}

    for typed in ("", "2", "one", "11"):
        status, page = await browser.post(
            "/triage/act", acting | {"typed": typed}, **as_role("oper")
        )
        assert (status, "Nothing was dropped" in page) == (400, True)
    assert await depth(quarantine) == 1

    assert (await browser.post("/triage/act", acting | {"typed": "1"}, **as_role("oper")))[0] == 303
    await eventually(lambda: has(quarantine, 0))


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("viewer", "/triage/message", 403),
        ("viewer", "/triage/sample", 403),
        ("reader", "/triage/message", 200),
        ("reader", "/triage/sample", 403),
        ("oper", "/triage/sample", 200),
    ],
)
async def test_bodies_are_for_some_roles_alone(  # noqa: PLR0917  fixtures
    browser: Browser,
    connection: AbstractConnection,
    quarantine: aio_pika.abc.AbstractQueue,
    role: str,
    path: str,
    status: int,
) -> None:
    await put_aside(connection, quarantine.name, b'{"name": "Ann-Marie"}', 7)

    query = f"?queue={quarantine.name}&id={7:032x}"
    answered, text = await browser.get(path + query, **as_role(role))

    assert answered == status
    assert ("Ann-Marie" in text) == (path == "/triage/sample" and status == 200)
    assert "value-of-it" not in text


async def test_an_operator_sees_a_body_as_it_is_and_as_text(
    browser: Browser, connection: AbstractConnection, quarantine: aio_pika.abc.AbstractQueue
) -> None:
    await put_aside(connection, quarantine.name, HOSTILE.encode(), 7, source=HOSTILE)

    fields = {"queue": quarantine.name, "id": f"{7:032x}"}
    status, page = await browser.post("/triage/message", fields, **as_role("oper"))

    assert status == 200
    assert "&lt;img src=x onerror=alert(1)&gt;\\u202e&#34;&amp;" in page
    assert "<img" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("path", ["/triage/try", "/triage/act"])
async def test_an_action_is_refused_by_get_from_elsewhere_and_without_the_role(
    browser: Browser,
    connection: AbstractConnection,
    quarantine: aio_pika.abc.AbstractQueue,
    path: str,
) -> None:
    await put_aside(connection, quarantine.name, b"{", 1)
    _, page = await browser.get("/triage", **as_role("oper"))
    fields = fields_of(groups_in(page)[0]) | {"action": "drop", "count": "1", "typed": "1"}

    assert (await browser.get(path, **as_role("oper")))[0] == 405
    elsewhere = as_role("oper") | {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.post(path, fields, **elsewhere))[0] == 403
    assert (await browser.post(path, fields, **as_role("viewer")))[0] == 403
    no_token = fields | {"form_token": "0" * 64}
    assert (await browser.post(path, no_token, **as_role("oper")))[0] == 403
    assert await depth(quarantine) == 1


@pytest.mark.parametrize(
    "change",
    [{"queue": "webhooks"}, {"group": "0"}, {"action": "purge"}, {"count": "-1"}, {"rate": "7"}],
)
async def test_a_form_that_makes_no_sense_is_refused(
    browser: Browser,
    connection: AbstractConnection,
    quarantine: aio_pika.abc.AbstractQueue,
    change: dict[str, str],
) -> None:
    await put_aside(connection, quarantine.name, b"{", 1)
    _, page = await browser.get("/triage", **as_role("oper"))
    fields = fields_of(groups_in(page)[0]) | {"action": "release", "count": "1", "rate": "0"}

    status, _ = await browser.post("/triage/act", fields | change, **as_role("oper"))

    assert status in (400, 404)
