"""What a source's own settings do to its events, from the request to the archive."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aio_pika.abc import AbstractConnection

from relay.events import topology
from tests.support.archive_process import ArchiveProcess
from tests.support.event_recorder import Recorder
from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess

KEY = "a key of 16 characters or more"
EMAIL, NAME, CONTACT = "ann.onymous@example.com", "Ann Ønymous", "contact-4711"
REDACT = {
    "/contact/id": "pseudonym",
    "/message/text": "mask",
    "/raw/event/payload/who/*": "remove",
    "/raw/who/*": "remove",
}


def body(kind: str) -> bytes:
    who = {"mail": EMAIL, "name": NAME}
    message = {"type": "text", "text": f"I am {NAME}"}
    element = {
        "event": {"type": kind, "payload": {"message": message, "who": who}},
        "conversation": {"key": f"chat-{CONTACT}"},
        "visitor": {"key": CONTACT},
        "link": f"https://example.com/?m={quote(EMAIL)}",
        NAME: EMAIL,
    }
    return json.dumps({"events": [element]}, ensure_ascii=False).encode()


async def post(relay: RelayProcess, source: str, content: bytes) -> dict[str, object]:
    headers = {"Authorization": SECRET, "X-Who": EMAIL, "X-Other": "1"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{relay.url}/in/{source}", data=content, headers=headers) as response,
    ):
        assert response.status == 200
        answer: dict[str, object] = await response.json()
        return answer


def bytes_in(directory: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def assert_has_none(content: bytes) -> None:
    for value in (EMAIL, NAME, CONTACT):
        for spelling in (value, quote(value), json.dumps(value)[1:-1]):
            assert spelling.encode() not in content


@pytest.fixture
def archive(
    tmp_path: Path, broker_url: str, exchange: str, connection: AbstractConnection
) -> ArchiveProcess:
    directory = tmp_path / "archive"
    directory.mkdir()
    return ArchiveProcess(
        directory,
        database=f"sqlite:{directory / 'archive.db'}",
        broker_url=broker_url,
        exchange=exchange,
        connection=connection,
    )


async def test_no_redacted_value_is_in_outbox_log_quarantine_or_archive(
    tmp_path: Path, broker_url: str, exchange: str, archive: ArchiveProcess, recorder: Recorder
) -> None:
    settings = {"redact": json.dumps(REDACT), "redaction_key": KEY, "headers": ["x-who", "x-other"]}
    directory = tmp_path / "relay"
    directory.mkdir()

    def relay(url: str) -> RelayProcess:
        return RelayProcess(
            directory,
            broker_url=url,
            exchange=exchange,
            ingress={"shutdown_grace_s": 1},
            sources__swiftsell=settings,
        )

    async with relay(NOWHERE) as first:
        for kind in ("message", "note", "new"):
            await post(first, "swiftsell", body(kind))
        email = EMAIL.encode()
        await post(first, "swiftsell", b'{"who":{"mail":"%b"},"a":"%b"}' % (email, email))
        assert b"https://example.com/?m=***" in bytes_in(directory / "outbox")
        assert_has_none(bytes_in(directory / "outbox"))
    async with archive.running():
        async with relay(broker_url) as second:
            await recorder.has(4)
            await eventually(second.is_drained)
        await eventually(lambda: archive.holds(3))

    assert_has_none(bytes_in(directory / "outbox"))
    assert_has_none((directory / "relay.log").read_bytes())
    assert_has_none(bytes_in(tmp_path / "archive"))
    for message in [*recorder.messages, *recorder.quarantined]:
        assert_has_none(message.body + repr(message.info()).encode())
        assert message.headers["http-x-other"] == "1"
    assert len(recorder.quarantined) == 1


@pytest.fixture
async def own(connection: AbstractConnection, exchange: str) -> AsyncIterator[str]:
    """The name of another exchange, which is taken down at the end."""
    name = f"{exchange}-own"
    yield name
    channel = await connection.channel()
    for each in (name, topology.history_exchange(name)):
        await channel.exchange_delete(each)


@pytest.fixture
def relay(tmp_path: Path, broker_url: str, exchange: str, own: str) -> RelayProcess:
    """A relay whose source `shop` has another exchange than `swiftsell`."""
    shop = {"vendor": "swiftsell", "secrets": [SECRET], "exchange": own, "headers": ["x-shop"]}
    return RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange, sources__shop=shop)


async def test_a_source_with_an_exchange_of_its_own_publishes_to_no_other(
    relay: RelayProcess,
    exchange: str,
    own: str,
    archive: ArchiveProcess,
    recorder: Recorder,
) -> None:
    command = RelayCommand(relay.directory / "relay.toml")
    assert f"exchange {own}" in (await command("check")).out
    assert (await command("topology", "--apply")).code == 0

    async with relay:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RELAY_CONSUMERS__ARCHIVE__EXCHANGE", own)
            async with archive.running():
                await post(relay, "swiftsell", body("note"))
                await post(relay, "shop", body("message"))
                await post(relay, "shop", b"not JSON")
                await eventually(lambda: archive.holds(1))
        await recorder.has(2)
        await eventually(relay.is_drained)

        relay.sections["sources.shop"]["exchange"] = exchange
        relay.write_config(relay.sections)
        relay.signal(signal.SIGHUP)
        await eventually(lambda: relay.lines("reload failed"))

    (problem,) = relay.lines("reload failed")[0]["problems"]
    assert problem.startswith("sources.shop.exchange: ")
    assert [event["source"] for event in recorder.events] == ["/swiftsell/swiftsell"]
    assert [message.headers["source"] for message in recorder.quarantined] == ["shop"]


async def test_tail_and_asyncapi_know_the_exchanges_of_sources(
    relay: RelayProcess,
    own: str,
    declared: topology.Topology,  # noqa: ARG001  takes the other exchanges down
) -> None:
    command = RelayCommand(relay.directory / "relay.toml")
    assert (await command("topology", "--apply")).code == 0

    async with relay:
        process = await command.start("tail", "*.note.#", "--count", "1", "--json")
        assert process.stderr
        said = await asyncio.wait_for(process.stderr.readline(), LIMIT_S)
        await post(relay, "shop", body("note"))
        shown, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
        document = json.loads((await command("asyncapi")).out)

    assert own.encode() in said
    assert json.loads(shown)["source"] == "/swiftsell/shop"
    channels = document["channels"]
    of_shop = channels[f"{own}.swiftsell.note.created"]
    assert of_shop["address"] == channels["swiftsell.note.created"]["address"]
    assert of_shop["bindings"]["amqp"]["exchange"]["name"] == own
    headers = document["components"]["messages"]["note.created"]["headers"]["properties"]
    assert "http-x-shop" in headers
