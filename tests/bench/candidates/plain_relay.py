"""What the relay is compared with, each in its strongest plain form, as a process.

    python -m tests.bench.candidates.plain_relay KIND PORT URL EXCHANGE

KIND is `bare` (reads the request, parses it, answers; stores nothing), `obvious` (publishes each
event with `exchange.publish` of aio-pika on a channel with publisher confirms, then answers) or
`robust` (the same over aio-pika's connection that comes back after an outage).
None authenticates, normalizes or keeps an event while the broker is away, as the relay does.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractConnection
from aiohttp import web

_MAX_BODY_BYTES = 8 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def bare(_: str, __: str) -> Handler:
    """Answer, and do nothing else."""

    async def handle(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return _accepted()

    return handle


async def obvious(url: str, exchange_name: str) -> Handler:
    """Answer once the broker has confirmed."""
    return await _publishing(await aio_pika.connect(url), exchange_name)


async def robust(url: str, exchange_name: str) -> Handler:
    """Do the same, and connect again when the connection is lost."""
    return await _publishing(await aio_pika.connect_robust(url), exchange_name)


async def _publishing(connection: AbstractConnection, exchange_name: str) -> Handler:
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(exchange_name)

    async def publish(body: bytes, routing_key: str) -> None:
        await exchange.publish(
            aio_pika.Message(
                body,
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            ),
            routing_key,
        )

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        routing_key = request.match_info["source"]
        events = _events(orjson.loads(body))
        if len(events) > 1:
            await asyncio.gather(*[publish(orjson.dumps(event), routing_key) for event in events])
        else:
            await publish(body, routing_key)
        return _accepted()

    return handle


def _events(document: Any) -> list[Any]:
    """Return the elements that are an event each, as in the relay."""
    events = document.get("events") if isinstance(document, dict) else None
    return events if isinstance(events, list) else [document]


def _accepted() -> web.Response:
    return web.Response(body=b'{"status":"accepted"}', content_type="application/json")


async def _serve(kind: str, port: int, url: str, exchange: str) -> None:
    handler = await {"bare": bare, "obvious": obvious, "robust": robust}[kind](url, exchange)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.router.add_post("/in/{source}", handler)
    app.router.add_post("/in/{source}/{secret}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    kind, port, url, exchange = sys.argv[1:]
    uvloop.run(_serve(kind, int(port), url, exchange))
