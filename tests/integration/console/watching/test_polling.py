"""What the console does with answers that are not those of an admin port of ours."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest
from aio_pika.abc import AbstractConnection
from aiohttp import web

from deploy.local.private_server import free_port
from relay.console.verdict import verdict
from relay.console.watching.history import PolledHistory
from relay.console.watching.polling import Poller
from relay.console.watching.queues import QueueWatch

READY = '{"ready": true, "broker": {"state": "connected"}, "outbox": %s}'
OUTBOX = '{"messages": 3, "oldest_age_s": 1.5, "parked": {"count": 0}}'


@asynccontextmanager
async def admin_port(readyz: str, metrics: str) -> AsyncIterator[str]:
    """Answer as told; yield the address."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=readyz if request.path == "/readyz" else metrics)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def not_connected() -> AbstractAsyncContextManager[AbstractConnection]:
    """Fail: nobody asks RabbitMQ here."""
    raise AssertionError


async def asked(*urls: str) -> Poller:
    """Ask receivers twice."""
    queues = QueueWatch(not_connected, quarantine="q", unrouted="u", dead=[])
    async with aiohttp.ClientSession() as http:
        poller = Poller(
            http=http, receivers=urls, services={}, queues=queues, history=PolledHistory()
        )
        await poller.ask_all()
        await poller.ask_all()
    return poller


@pytest.mark.parametrize(
    ("readyz", "metrics"),
    [
        ("[]", ""),
        ('"ready"', ""),
        ("null", ""),
        ("<html>", ""),
        (READY % '{"messages": 3}', ""),
        (READY % '{"messages": "many", "oldest_age_s": 0}', ""),
        (READY % '{"messages": 3, "oldest_age_s": null}', ""),
        (READY % '{"messages": 3, "oldest_age_s": 1, "parked": {"count": "two"}}', ""),
        (READY % '{"messages": 3, "oldest_age_s": 1, "used_bytes": []}', ""),
        ('{"ready": true, "workers": 4}', ""),
        (READY % OUTBOX, 'relay_requests_total{status="200"} 5\n'),
        (READY % OUTBOX, 'relay_requests_total{source="a"} 5\n'),
        (READY % OUTBOX, "relay_quarantined_total 5\n"),
        (READY % OUTBOX, "relay_answer_seconds_bucket 5\n"),
        (READY % OUTBOX, "relay_requests_total{{{\n"),
    ],
)
async def test_an_odd_answer_is_said_to_be_one_and_the_others_go_on(
    readyz: str, metrics: str
) -> None:
    async with admin_port(readyz, metrics) as odd, admin_port(READY % OUTBOX, "") as usual:
        poller = await asked(odd, usual)

    receivers = poller.receivers
    assert receivers[odd].reason == "its answer is not that of an admin port"
    assert receivers[usual].is_ready
    sentence = " ".join(part.text for part in verdict([*receivers.values()], [], {}, None))
    assert "1 of 2 receivers ready." in sentence
    assert "3 waiting." in sentence


@pytest.mark.parametrize("name", ["a" * 64, f"relay.{'b' * 70}", "a..b", "nobody.invalid"])
async def test_a_name_that_can_not_be_looked_up_is_no_receiver(name: str) -> None:
    async with admin_port(READY % OUTBOX, "") as usual:
        poller = await asked(f"dns://{name}:9090", usual)

    assert list(poller.receivers) == [usual]


async def test_a_part_that_an_earlier_version_lacks_may_be_missing() -> None:
    async with admin_port('{"ready": true}', "") as url:
        poller = await asked(url)

    assert poller.receivers[url].is_ready
