"""`relay tail`: events as they pass. It runs as a process of its own, as signals are part of it."""

import asyncio
import json
import os
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection, AbstractExchange
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.events.envelope import encode_events
from relay.events.event import NormalizedEvent
from relay.events.message import Origin
from relay.events.topology import Topology
from tests.support.eventually import LIMIT_S
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, RelayProcess

RAW = b'{\n  "n": 123456789012345678901234567890,\r\n  "text": "a\\nb"\n}'


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange)
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
async def events(
    relay: RelayCommand,
    connection: AbstractConnection,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes the exchanges down
) -> AsyncIterator[AbstractExchange]:
    """The events' exchange."""
    assert (await relay("topology", "--apply")).code == 0
    async with connection.channel() as channel:
        yield await channel.get_exchange(exchange)


def event(text: str, kind: str = "text") -> NormalizedEvent:
    return NormalizedEvent(
        type="message.created",
        vendortype="message",
        detail=kind,
        data={
            "conversation": {"id": "c1"},
            "actor": {"type": "agent", "name": "Ann"},
            "message": {"kind": kind, "text": text},
        },
        raw=RAW,
        time="2023-09-01T14:13:45.503552Z",
    )


async def publish(exchange: AbstractExchange, *events: NormalizedEvent) -> None:
    origin = Origin(vendor="example", source="acme")
    for message in encode_events(events, origin=origin, received_at=1.0, delivery_id="d1"):
        await exchange.publish(aio_pika.Message(message.body), message.routing_key)


async def started(relay: RelayCommand, *arguments: str, stdout: int = PIPE) -> Process:
    """Start a tail and return once it is listening."""
    tail = await relay.start("tail", *arguments, stdout=stdout)
    assert (await line_of(tail.stderr)).startswith("Waiting for ")
    return tail


async def line_of(stream: asyncio.StreamReader | None) -> str:
    assert stream
    return (await asyncio.wait_for(stream.readline(), LIMIT_S)).decode()


async def end_of(tail: Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(tail.communicate(), LIMIT_S)
    return tail.returncode, (out or b"").decode(), err.decode()


async def test_an_event_is_one_line_as_soon_as_it_comes(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    tail = await started(relay)

    await publish(events, event("Hello\n\x1b[2J"))
    line = await line_of(tail.stdout)
    tail.send_signal(signal.SIGINT)

    assert line.rstrip("\n").split("\t") == [
        "2023-09-01T14:13:45.503552Z",
        "example.message.created.text",
        "conversation/c1",
        "agent Ann",
        "Hello\\n\\u001b[2J",
    ]
    assert await end_of(tail) == (0, "", "")


async def test_only_events_that_match_a_pattern_are_shown(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    tail = await started(relay, "#.image", "*.message.#.audio", "--count", "2")

    await publish(events, *[event(kind, kind) for kind in ("text", "image", "video", "audio")])

    code, out, _ = await end_of(tail)
    assert code == 0
    assert [line.rpartition("\t")[2] for line in out.splitlines()] == ["image", "audio"]


async def test_a_program_gets_whole_events_one_per_line(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    tail = await started(relay, "--json", "--count", "2")

    await publish(events, event("one"), event("two"))

    _, out, _ = await end_of(tail)
    shown = [json.loads(line) for line in out.splitlines()]
    assert [event["data"]["message"]["text"] for event in shown] == ["one", "two"]
    assert {event["routingkey"] for event in shown} == {"example.message.created.text"}
    assert shown[0]["data"]["raw"] == json.loads(RAW)


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
async def test_what_is_no_event_is_named_and_passed_over(
    relay: RelayCommand, events: AbstractExchange, options: list[str]
) -> None:
    tail = await started(relay, "--count", "3", *options)

    for body in (b"\x00", b"[1]"):
        await events.publish(aio_pika.Message(body), "some.key")
    await publish(events, event("Hello"))

    code, out, err = await end_of(tail)
    assert code == 0
    assert "Hello" in out
    assert err == "relay: a message under 'some.key' is no CloudEvent.\n" * 2


async def test_a_message_without_words_shows_the_best_there_is(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    tail = await started(relay, "--count", "2")
    long = "x" * 1000
    bare = NormalizedEvent(
        type="conversation.closed", vendortype="4", data={"status": "Close"}, raw=b"{}"
    )

    await publish(events, event(long), bare)

    _, out, _ = await end_of(tail)
    assert [line.rpartition("\t")[2] for line in out.splitlines()] == ["x" * 99 + "…", "Close"]


async def test_sigterm_ends_it_as_well(relay: RelayCommand, events: AbstractExchange) -> None:
    assert events
    tail = await started(relay)

    tail.terminate()

    assert await end_of(tail) == (0, "", "")


async def test_a_reader_that_has_seen_enough_causes_no_traceback(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    reading, writing = os.pipe()
    tail = await started(relay, stdout=writing)
    os.close(writing)
    os.close(reading)

    await publish(events, event("Hello"))

    assert (await end_of(tail))[2] == ""


async def test_an_exchange_that_is_not_there_is_named(relay: RelayCommand, exchange: str) -> None:
    code, _, err = await end_of(await relay.start("tail"))

    assert code == 1
    assert err.startswith(f"relay: Exchange {exchange} does not exist; create it with `relay ")


async def test_a_pattern_that_is_too_long_is_refused(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    assert events

    result = await end_of(await relay.start("tail", "x" * 256))

    assert result == (1, "", "relay: A pattern has at most 255 bytes.\n")


async def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    RelayProcess(tmp_path, broker_url=NOWHERE)

    code, _, err = await end_of(await RelayCommand(tmp_path / "relay.toml").start("tail"))

    assert code == 1
    assert err.startswith("relay: RabbitMQ at 127.0.0.1:1 can't be reached")


async def test_each_event_goes_to_a_url_a_folder_and_a_program_in_order(
    relay: RelayCommand, events: AbstractExchange, tmp_path: Path
) -> None:
    received: list[tuple[str, bytes]] = []

    async def hook(request: web.Request) -> web.Response:
        received.append((request.headers["content-type"], await request.read()))
        return web.Response(status=202 if len(received) == 1 else 500)

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with TestServer(app) as server:
        tail = await started(
            *(relay, "--json", "--count", "3", "--to", str(server.make_url("/hook"))),
            *("--save", str(tmp_path / "saved"), "--exec", f"cat >> {tmp_path}/piped; exit 3"),
        )
        await publish(events, event("one"), event("two"), event("three"))
        code, out, err = await end_of(tail)

    bodies = [json.dumps(json.loads(body)) for _, body in received]
    saved = sorted((tmp_path / "saved").iterdir())
    assert code == 0
    assert [json.loads(line)["data"]["message"]["text"] for line in out.splitlines()] == [
        json.loads(body)["data"]["message"]["text"] for body in bodies
    ]
    assert [json.loads(body)["data"]["message"]["text"] for body in bodies] == [
        *("one", "two", "three")
    ]
    assert {kind for kind, _ in received} == {"application/cloudevents+json"}
    assert [path.read_bytes() for path in saved] == [body for _, body in received]
    assert {path.stat().st_mode & 0o777 for path in saved} == {0o600}
    assert (tmp_path / "piped").read_bytes() == b"".join(body for _, body in received)
    assert [re.sub(r"[0-9]+ ms", "N ms", line) for line in err.splitlines()][1] == (
        "example.message.created.text: 202 in N ms"
    )
    assert err.count(": exit 3") == 3
    assert err.count(": 500 in ") == 2


async def test_a_url_that_nobody_serves_is_reported_and_the_tail_goes_on(
    relay: RelayCommand, events: AbstractExchange
) -> None:
    tail = await started(relay, "--count", "2", "--to", "http://127.0.0.1:1/")

    await publish(events, event("one"), event("two"))

    code, out, err = await end_of(tail)
    assert (code, len(out.splitlines())) == (0, 2)
    assert err.count("can't be reached (") == 2
