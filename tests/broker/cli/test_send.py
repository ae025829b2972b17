"""`relay send`: documented deliveries, posted to a running relay as the vendors would."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from relay import vendors
from relay.events.topology import Topology
from tests.conftest import SAMPLES
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import SECRET, RelayProcess

ODD_SECRET = "ä/ö ?&=#%"  # must be percent-encoded in a path and in a query


@pytest.fixture
def stopped(
    tmp_path: Path,
    broker_url: str,
    exchange: str,
    declared: Topology,  # noqa: ARG001  takes down what the relay declares
) -> RelayProcess:
    """A relay with one source per vendor that is not started, but whose settings are written."""
    odd = {f"sources__{name}": {"secrets": [ODD_SECRET]} for name in ("channeltalk", "pickyassist")}
    every = tuple(vendors.discover())
    return RelayProcess(tmp_path, broker_url=broker_url, exchange=exchange, vendors=every, **odd)


@pytest.fixture
async def process(stopped: RelayProcess) -> AsyncIterator[RelayProcess]:
    async with stopped:
        yield stopped


@pytest.fixture
def relay(stopped: RelayProcess, tmp_path: Path) -> RelayCommand:  # noqa: ARG001
    return RelayCommand(tmp_path / "relay.toml")


async def test_everything_documented_is_accepted(
    relay: RelayCommand, process: RelayProcess
) -> None:
    result = await relay(
        "send", "all", "--all", "--handshake", "--json", "--url", f"{process.url}/"
    )

    answers = [json.loads(line) for line in result.out.splitlines()]
    handshakes = [answer["source"] for answer in answers if answer["sample"] == "handshake"]
    quarantined = [answer for answer in answers if answer["outcome"] == "quarantined"]
    assert result.code == 0, result.err
    assert {answer["status"] for answer in answers} == {200}
    assert handshakes == ["intercom", "line", "supporthunt", "swiftsell"]
    assert len(answers) - len(handshakes) == sum(
        len(vendors.samples(vendor)) for vendor in vendors.discover()
    )
    assert {answer["reason"] for answer in quarantined} == {"not_json"}
    assert all(answer["ids"] for answer in answers if answer["sample"] != "handshake")
    assert SECRET not in result.out


async def test_samples_are_sent_by_name_by_stem_and_by_prefix(
    relay: RelayCommand, process: RelayProcess
) -> None:
    names = ("02-message-text.json", "02-message-text", "02")

    result = await relay("send", "swiftsell", *names, "--url", process.url)

    assert (result.code, result.err) == (0, "")
    assert [row[:4] for row in result.rows] == [
        ["swiftsell", "02-message-text.json", "200", "accepted"]
    ] * 3
    assert len({row[4] for row in result.rows}) == 1


async def test_the_relay_of_the_settings_is_sent_to_unless_told_otherwise(
    relay: RelayCommand, process: RelayProcess
) -> None:
    port = process.url.rpartition(":")[2]

    result = await relay("send", "swiftsell", "02", RELAY_INGRESS__PORT=port)

    assert result.code == 0


async def test_a_handshake_brings_its_token_back(
    relay: RelayCommand, process: RelayProcess
) -> None:
    result = await relay("send", "swiftsell", "--handshake", "--url", process.url)

    assert result.code == 0
    assert result.rows == [["swiftsell", "handshake", "200", "token came back", ""]]


async def test_a_file_and_standard_input_are_sent_signed(
    relay: RelayCommand, process: RelayProcess
) -> None:
    file = SAMPLES / "acquire" / "02-chat_on_start.json"
    options = ("--url", process.url, "--file")

    sent = await relay("send", "acquire", *options, str(file))
    piped = await relay("send", "acquire", *options, "-", stdin=file.read_bytes())
    odd = await relay("send", "acquire", *options, "-", stdin=b"<xml/>")

    assert sent.rows[0][:4] == ["acquire", str(file), "200", "accepted"]
    assert piped.rows[0][:4] == ["acquire", "-", "200", "accepted"]
    assert odd.rows[0][3] == "quarantined (not_json)"
    assert (sent.code, piped.code, odd.code) == (0, 0, 0)


async def test_a_source_alone_lists_its_samples(relay: RelayCommand) -> None:
    result = await relay("send", "pickyassist")
    every = await relay("send", "all")

    assert result.code == 0
    assert result.rows[0] == ["pickyassist", "01-chat_assigned.json"]
    assert result.err == "Name some to send, or --all of them.\n"
    assert len(every.rows) > len(result.rows)


async def test_a_refused_delivery_is_a_failure(relay: RelayCommand, process: RelayProcess) -> None:
    process.sections["sources.swiftsell"]["secrets"] = ["another"]
    process.write_config(process.sections)  # the running relay still has the old one

    result = await relay("send", "swiftsell", "02", "--handshake", "--url", process.url)

    assert result.code == 1
    assert {tuple(row[2:4]) for row in result.rows} == {("401", "refused (unauthenticated)")}
    assert result.err == "relay: 2 of 2 deliveries were not accepted.\n"
    assert "another" not in result.out


async def test_a_handshake_that_is_only_nodded_through_is_a_failure(relay: RelayCommand) -> None:
    async def nod(_: web.BaseRequest) -> web.Response:
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(nod))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    result = await relay("send", "swiftsell", "--handshake", "--url", url)
    await runner.cleanup()

    assert result.code == 1
    assert result.rows[0][3] == "token did not come back"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "02"], "There is no source 'nobody'; there are acquire, channeltalk, "),
        (["pickyassist", "99"], "There is no sample '99'; there are 01-chat_assigned.json, "),
        (["swiftsell", "0"], "Several samples begin with '0': 01-conversation_create.json, "),
        (["all", "02"], "With SOURCE `all`, only --all and --handshake can be sent."),
        (["acquire", "--handshake"], "acquire makes no handshake."),
        (["acquire", "--file", "/nowhere"], "The file /nowhere can't be read: No such file"),
        (["acquire", "02", "--url", "127.0.0.1:80"], "--url must be like http://127.0.0.1:8080."),
        (["acquire", "02", "--url", "ftp://host"], "--url must be http:// or https://"),
        (["acquire", "02", "--url", "http://me@host"], "--url must be http:// or https://"),
        (["acquire", "02", "--url", "http://127.0.0.1:1"], "http://127.0.0.1:1 can't be reached"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_a_foreseeable_mistake_is_answered_with_a_sentence(
    relay: RelayCommand, arguments: list[str], sentence: str
) -> None:
    result = await relay("send", *arguments)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"relay: {sentence}")
    assert SECRET not in result.err


async def test_a_person_sees_the_outcome_in_colour(
    relay: RelayCommand, process: RelayProcess
) -> None:
    result = await relay.on_terminal("send", "swiftsell", "02", "--url", process.url)

    assert result.code == 0
    assert "\x1b[32maccepted\x1b[0m" in result.out


async def test_values_are_set_and_the_clock_is_moved_each_time(
    relay: RelayCommand, process: RelayProcess
) -> None:
    started_at = time.time()

    result = await relay(
        *("send", "channeltalk", "01-message-push.repaired", "--set", "/entity/plainText=Hi"),
        *("--now", "--repeat", "3", "--rate", "50", "--url", process.url),
    )

    assert (result.code, result.err) == (0, "")
    assert len(result.rows) == 3
    assert time.time() - started_at >= 2 / 50


@pytest.mark.parametrize("option", ["/nowhere/x=1", "no pointer", "/a"])
async def test_a_value_that_can_not_be_set_is_one_sentence(
    relay: RelayCommand, option: str
) -> None:
    result = await relay("send", "swiftsell", "02", "--set", option)

    assert result.code in {1, 2}
    assert "leads nowhere" in result.err or "is n" in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["orders", "01"], "There is no sample '01', nor any other. Send a --file of your own."),
        (["orders", "--all"], "There is nothing of orders to send. Send a --file of your own."),
        (["all", "--all"], "There is nothing of any source to send. Send a --file of your own."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_where_there_is_nothing_to_send_that_is_said(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        "[sources.orders]\nvendor = 'generic'\nsecrets = ['s3cret']\n"
        "verify = {kind = 'token', bearer = true}\n"
    )

    result = await RelayCommand(config)("send", *arguments)

    assert (result.code, result.out, result.err) == (1, "", f"relay: {sentence}\n")
