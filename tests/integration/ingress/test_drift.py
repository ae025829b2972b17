"""A vendor's silent change is seen: by the metric, and by `relay drift`."""

import asyncio
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from relay import vendors
from relay.events.amqp import properties_head
from relay.events.message import Message, Origin
from relay.ingress import drift
from relay.ingress.drift import Drift
from relay.ingress.processing import Source
from relay.observability.metrics import DriftMetrics
from relay.vendors.kit.authentication import Secrets
from tests.support.eventually import counting_turns, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, RelayProcess, post_signed

VENDORS = vendors.discover()
NAME = "new\x1b[31m/~field\n"
SHOWN = r"new\u001b[31m~1~0field\n"


def bodies(name: str) -> list[bytes]:
    """Return a vendor's payloads that are understood."""
    samples = [sample for sample in vendors.samples(name) if sample.name.endswith(".json")]
    return [sample.read_bytes() for sample in samples]


def elements_in(document: Any) -> Iterable[dict[str, Any]]:
    """Yield what is an event in a delivery: all of it, or the elements of its innermost lists."""
    if "entry" not in document:
        yield from document.get("events", [document])
        yield from said_at_the_start_of_a_chat(document)
        return
    for entry in document["entry"]:
        yield from (entry.get("messaging") or entry.get("standby") or [])
        for change in entry.get("changes", []):
            names = ("messages", "statuses", "message_echoes")
            yield from [each for name in names for each in change["value"].get(name, [])] or [
                change
            ]
        if "value" in entry:
            yield entry


def said_at_the_start_of_a_chat(document: Any) -> Iterable[dict[str, Any]]:
    """Yield what is an event of its own beside the delivery: LiveChat has such."""
    try:
        yield from document["payload"]["chat"]["thread"]["events"]
    except (KeyError, TypeError):
        return


def changed(body: bytes) -> bytes:
    """Return a delivery whose elements have one field more."""
    document = json.loads(body)
    for element in elements_in(document):
        element[NAME] = {"secret": "value"}
    return json.dumps(document).encode()


async def post(relay: RelayProcess, name: str, payloads: Iterable[bytes]) -> None:
    async with aiohttp.ClientSession() as http:
        for body in payloads:
            await post_signed(http, relay.url, name, body)


async def by_type(relay: RelayProcess, metric: str) -> dict[tuple[str, str], int]:
    """Return the values of a metric, by vendor and type."""
    pattern = rf'{metric}\{{type="(.*?)",vendor="(.*?)"\}} (\d+)'
    found = re.findall(pattern, await relay.metrics())
    return {(vendor, event_type): int(count) for event_type, vendor, count in found}


async def counts(relay: RelayProcess) -> dict[tuple[str, str], int]:
    return await by_type(relay, "relay_unknown_fields_total")


@pytest.fixture
def command(tmp_path: Path) -> RelayCommand:
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
async def relay(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RelayProcess]:
    process = RelayProcess(
        tmp_path,
        broker_url=NOWHERE,
        vendors=tuple(VENDORS),
        ingress={"workers": request.param, "shutdown_grace_s": 1},
    )
    async with process:
        yield process


async def test_what_vendors_document_is_no_drift(
    relay: RelayProcess, command: RelayCommand
) -> None:
    for name in VENDORS:
        await post(relay, name, bodies(name))

    shown = await counts(relay)
    result = await command("drift", "--url", relay.admin_url)

    assert set(shown.values()) == {0}
    assert {name for name, _ in shown} == set(VENDORS)
    assert (result.code, result.out, result.err) == (0, "", "No unknown field was seen.\n")


@pytest.mark.parametrize("half", range(2))  # of all events, no more than are looked at in a second
async def test_a_field_more_is_counted_and_listed(
    relay: RelayProcess, command: RelayCommand, half: int
) -> None:
    for name in list(VENDORS)[half::2]:
        await post(relay, name, map(changed, bodies(name)))

    shown = {key: count for key, count in (await counts(relay)).items() if count}
    listed = await command("drift", "--url", relay.admin_url, "--json")
    result = await command("drift", "--url", relay.admin_url)

    assert shown == await by_type(relay, "relay_events_total")
    rows = json.loads(listed.out)
    path = "/" + NAME.replace("~", "~0").replace("/", "~1")
    of_events = [row for row in rows if row["path"] == path]
    assert {(row["vendor"], row["type"]): row["count"] for row in of_events} == shown
    assert all(row["path"].endswith(path) for row in rows)  # also where one event lies in another
    assert all(row["first_seen"] <= row["last_seen"] for row in rows)
    assert result.code == 0
    assert all(cells[5].endswith("/" + SHOWN) for cells in result.rows)
    assert "secret" not in listed.out + await relay.metrics()


async def test_events_are_counted_though_nobody_asks(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE) as relay:
        body = changed(bodies("swiftsell")[1])
        await post(relay, "swiftsell", [body] * 400)
        first = (await counts(relay))["swiftsell", "message.created"]

        async def has_room() -> bool:
            await post(relay, "swiftsell", [body])
            return (await counts(relay))["swiftsell", "message.created"] > first

        await eventually(has_room)  # as many as may be looked at within a second were

    assert 100 < first <= 400


async def test_a_command_without_a_receiver_says_so(tmp_path: Path, command: RelayCommand) -> None:
    relay = RelayProcess(tmp_path, broker_url=NOWHERE)
    async with relay:
        wrong = await command("drift", "--url", relay.url)
    nobody = await command("drift", "--url", relay.admin_url)
    settings = await command("drift", RELAY_ADMIN__PORT=str(relay.admin_port))

    assert wrong.err == (
        f"relay: {relay.url} has no /drift: it is no admin port of a relay as new as this one.\n"
    )
    assert (nobody.code, nobody.err.count("\n")) == (1, 1)
    assert "can't be reached" in nobody.err
    assert settings.err == nobody.err


# In one process: what senders who make up names can do.


@pytest.fixture
def looking() -> Drift:
    looking = Drift(DriftMetrics(CollectorRegistry()))
    origin = Origin(vendor="swiftsell", source="acme")
    source = Source(origin=origin, vendor=VENDORS["swiftsell"], secrets=Secrets(()))
    looking.set_sources({"acme": source})
    return looking


def message(raw: Any, event_type: str = "note.created", **changes: Any) -> Message:
    body = orjson.dumps({"type": event_type, "data": {"raw": raw}})
    head = properties_head({"vendor": "swiftsell"})
    told = Message(id="1", routing_key="k", properties=head, body=body, received_at=1.5)
    return told._replace(**changes)


async def looked_at(looking: Drift, messages: Iterable[Message]) -> None:
    """Have all of them looked at, in portions for which there is room."""
    for each in messages:
        looking.take("swiftsell", "", [each])
        await looking.report()
        looking._room_bytes = drift.MAX_BYTES_PER_S


async def test_a_million_names_take_no_more_memory_than_some(looking: Drift) -> None:
    names = {f"{'x' * 40}NUMBER-{n}": n for n in range(500)}
    template = message({"event": {"payload": names}, "NUMBER": 1})

    def element(number: int) -> Message:
        return template._replace(body=template.body.replace(b"NUMBER", b"%d" % number))

    await looked_at(looking, map(element, range(1_800)))
    tracemalloc.start()  # now, as it makes Python six times slower
    await looked_at(looking, map(element, range(1_800, 2_000)))
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    rows = (await looking.report())["fields"]
    assert len(rows) == 2 * (drift.MAX_NAMES_PER_PLACE + 1)
    assert {row["path"] for row in rows} >= {"/*", "/event/payload/*"}
    assert kept_bytes < 450_000  # the names alone would take ten times as much


async def test_places_of_which_there_are_too_many_are_forgotten(looking: Drift) -> None:
    def element(depth: int) -> Message:
        value: Any = {"new": 1}
        for _ in range(depth):
            value = [value]
        return message({"timestamp": value})

    await looked_at(looking, map(element, range(1, 190)))

    assert len((await looking.report())["fields"]) == drift.MAX_PLACES


@pytest.mark.parametrize(
    "passed_over",
    [
        message({"new": 1}, is_quarantined=True),
        message({"new": "x" * drift.MAX_EVENT_BYTES}),
        message({"event": {"type": "x"}}),
    ],
    ids=["quarantined", "large", "known"],
)
async def test_some_messages_are_passed_over(looking: Drift, passed_over: Message) -> None:
    looking.take("swiftsell", "", [passed_over])

    assert await looking.report() == {"fields": []}


async def test_names_of_the_urls_parameters_are_known_at_the_top(looking: Drift) -> None:
    sent = message({"campaign": 1, "other": 1, "event": {"campaign": 2}})

    looking.take("swiftsell", "token=a&campaign=1%2B", [sent])

    found = {row["path"] for row in (await looking.report())["fields"]}
    assert found == {"/other", "/event/campaign"}


async def test_a_vendor_without_samples_is_not_watched() -> None:
    registry = CollectorRegistry()
    looking, origin = Drift(DriftMetrics(registry)), Origin(vendor="nobody", source="acme")
    looking.set_sources(
        {"acme": Source(origin=origin, vendor=VENDORS["acquire"], secrets=Secrets(()))}
    )

    looking.take("nobody", "", [message({"new": 1})])

    assert await looking.report() == {"fields": []}
    assert "nobody" not in generate_latest(registry).decode()


async def test_an_event_whose_type_is_no_word_of_ours_counts_for_another() -> None:
    registry = CollectorRegistry()
    DriftMetrics(registry).count("swiftsell", "a\nb")

    assert registry.get_sample_value(
        "relay_unknown_fields_total", {"vendor": "swiftsell", "type": "other"}
    )


@pytest.mark.parametrize(
    ("count", "size", "least"), [(160, 1_000, 7), (40, 6_000, 7), (2, 100_000, 1)]
)
async def test_others_have_their_turn_while_events_are_looked_at(
    looking: Drift, count: int, size: int, least: int
) -> None:
    for number in range(count):
        looking.take("swiftsell", "", [message({f"new-{number}": "x" * size})])

    found, turns = await counting_turns(looking.report())

    assert turns >= least
    assert len(found["fields"]) == min(count, drift.MAX_NAMES_PER_PLACE + 1)


async def test_an_error_of_ours_ends_nothing(looking: Drift) -> None:
    looking.take("swiftsell", "", [message({"new": 1}, body=b"{"), message({"new": 1})])
    running = asyncio.create_task(looking.run())

    async def has_found() -> bool:
        return bool((await looking.report())["fields"])

    await eventually(has_found)

    assert not running.done()
    running.cancel()
