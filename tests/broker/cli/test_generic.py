"""The commands speak for senders that are known by settings alone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.events.topology import Topology
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess

SECRET = "s3cret-of-a-sender"
SOURCES = {
    "slack": {"vendor": "slack", "secrets": [SECRET]},
    "meta": {"vendor": "generic", "preset": "meta", "secrets": [SECRET]},
    "orders": {"vendor": "generic", "secrets": [SECRET]},
}
TABLES = {
    "sources__orders__verify": {"kind": "hmac", "header": "x-orders-signature"},
    "sources__orders__event": {"type": "/type", "id": "/id"},
}
BODY = b'{"type":"order.paid","id":"o-1"}'


@pytest.fixture
def stopped(tmp_path: Path, broker_url: str, exchange: str) -> RelayProcess:
    """A relay that is not started, but whose settings are written."""
    sections = {f"sources__{name}": section for name, section in SOURCES.items()}
    sections |= TABLES
    return RelayProcess(
        tmp_path, broker_url=broker_url, exchange=exchange, vendors=("acquire",), **sections
    )


@pytest.fixture
async def process(
    stopped: RelayProcess,
    declared: Topology,  # noqa: ARG001  takes down what the relay declares
) -> AsyncIterator[RelayProcess]:
    async with stopped:
        yield stopped


@pytest.fixture
def relay(stopped: RelayProcess) -> RelayCommand:
    return RelayCommand(stopped.directory / "relay.toml")


async def test_a_file_is_sent_as_the_sender_would(
    relay: RelayCommand, process: RelayProcess
) -> None:
    for name in SOURCES:
        result = await relay("send", name, "--file", "-", "--url", process.url, stdin=BODY)

        assert result.rows[0][:4] == [name, "-", "200", "accepted"], result.err
        assert SECRET not in result.out


@pytest.mark.parametrize("name", ["slack", "meta"])
async def test_a_question_is_asked_and_its_answer_is_read(
    relay: RelayCommand, process: RelayProcess, name: str
) -> None:
    result = await relay("send", name, "--handshake", "--url", process.url)

    assert result.code == 0, result.err
    assert result.rows == [[name, "handshake", "200", "token came back", ""]]


async def test_a_sender_without_samples_says_what_can_be_sent(relay: RelayCommand) -> None:
    result = await relay("send", "orders")

    assert result.err == "Send a --file of your own.\n"


async def test_a_delivery_is_inspected(relay: RelayCommand) -> None:
    result = await relay("inspect", "orders", "-", "--json", stdin=BODY)

    (event,) = json.loads(result.out)["events"]
    assert event["routing_key"] == "generic.received.order_paid"
    assert event["new_id_per_delivery"] is False


async def test_the_settings_are_checked(relay: RelayCommand, stopped: RelayProcess) -> None:
    good = await relay("check", "--offline")
    stopped.sections["sources.orders.verify"]["signed"] = "no body"
    stopped.write_config(stopped.sections)
    bad = await relay("check", "--offline")

    assert good.code == 0
    assert "orders" in good.out
    assert bad.code != 0
    assert "sources.orders.verify.signed: {body} must be in it." in bad.err


async def test_presets_are_listed_and_their_channels_described(relay: RelayCommand) -> None:
    listed = {one["name"]: one for one in json.loads((await relay("vendors", "--json")).out)}
    document = json.loads((await relay("asyncapi")).out)

    assert "docs.slack.dev" in listed["slack"]["about"]
    assert listed["generic"]["about"] == "Any sender, by settings."
    assert document["channels"]["slack.received"]["address"] == "slack.received.{detail}"


async def test_what_was_quarantined_is_released_by_the_rules_of_its_source(
    relay: RelayCommand, process: RelayProcess
) -> None:
    sent = await relay("send", "orders", "--file", "-", "--url", process.url, stdin=b"[NaN]")
    process.sections["sources.orders.event"]["type"] = "/kind"
    process.write_config(process.sections)

    released = await relay("quarantine", "release", sent.rows[0][4])

    assert sent.rows[0][3] == "quarantined (not_json)"
    assert "it still is not understood (not_json)" in released.out
