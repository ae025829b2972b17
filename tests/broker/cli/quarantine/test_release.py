"""`relay quarantine release`: what is understood by now goes out, and the rest stays."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection

from relay.events.envelope import encode_events
from relay.events.message import Origin
from relay.vendors import discover, find
from relay.vendors.kit.request import Request
from tests.conftest import SAMPLES
from tests.support.cli.quarantine import (
    NOT_JSON,
    NOW_JSON,
    ORIGIN,
    RECEIVED_AT,
    TRACEPARENT,
    UNDERSTOOD,
    Quarantine,
    quarantined,
)
from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_command import RelayCommand

ACQUIRE = Origin(vendor="acquire", source="acme")
SPOKEN = (SAMPLES / "acquire" / "04-chat_on_message-short.repaired.json").read_bytes()


async def test_what_is_understood_by_now_is_published_as_it_would_have_been(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    await quarantine.put(NOW_JSON)
    events = discover()["swiftsell"].normalize(Request(body=UNDERSTOOD))
    (wanted,) = encode_events(events, origin=ORIGIN, received_at=RECEIVED_AT - 60, delivery_id="d1")

    result = await relay("quarantine", "release", NOW_JSON.id)
    await eventually(lambda: recorder.messages)

    (message,) = recorder.messages
    assert result.code == 0, result.err
    assert result.rows == [["released", NOW_JSON.id, wanted.id]]
    assert (message.message_id, message.routing_key) == (wanted.id, wanted.routing_key)
    assert message.body == wanted.body
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/cloudevents+json"
    assert message.headers == {"vendor": "swiftsell", "source": "acme", "traceparent": TRACEPARENT}
    await eventually(quarantine.holds)


async def test_each_delivery_is_released_under_the_ids_of_its_own_each_time(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    once = [quarantined(SPOKEN, ACQUIRE, delivery_id=sent) for sent in ("d1", "d2")]
    events = discover()["acquire"].normalize(Request(body=SPOKEN))
    wanted = [
        encode_events(events, origin=ACQUIRE, received_at=RECEIVED_AT, delivery_id=sent)[0].id
        for sent in ("d1", "d2")
    ]

    for _ in range(2):  # as when the first release broke off before its ack
        await quarantine.put(*once)
        assert (await relay("quarantine", "release", "--all")).code == 0
    await eventually(lambda: len(recorder.messages) >= 4)

    assert wanted[0] != wanted[1]
    assert sorted(message.message_id for message in recorder.messages) == sorted(wanted * 2)


async def test_deliveries_quarantined_by_an_earlier_version_are_told_apart_by_their_time(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    older = [quarantined(SPOKEN, ACQUIRE, age_s=age_s) for age_s in (0, 60)]

    for _ in range(2):
        await quarantine.put(*older, without="delivery_id")
        assert (await relay("quarantine", "release", "--all")).code == 0
    await eventually(lambda: len(recorder.messages) >= 4)

    times_seen = Counter(message.message_id for message in recorder.messages)
    assert sorted(times_seen.values()) == [2, 2]


NOTE = b'{"event":{"type":"note","payload":{"note":"1"}}}'


async def test_an_element_that_was_quarantined_alone_is_released_by_itself(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    element = quarantined(NOTE)
    await quarantine.put(element)
    events = discover()["swiftsell"].normalize(Request(body=b'{"events":[%b]}' % NOTE))
    (wanted,) = encode_events(events, origin=ORIGIN, received_at=RECEIVED_AT, delivery_id="d1")

    result = await relay("quarantine", "release", element.id)
    await eventually(lambda: len(recorder.messages) >= 1)

    assert result.rows == [["released", element.id, wanted.id]]
    assert recorder.messages[0].body == wanted.body
    await eventually(quarantine.holds)


async def test_of_a_delivery_the_events_that_are_understood_are_released_and_the_rest_stays(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    delivery, rest = quarantined(b'{"events":[%b,NaN]}' % NOTE), quarantined(b"NaN")
    await quarantine.put(delivery)

    result = await relay("quarantine", "release", delivery.id)
    await eventually(lambda: len(recorder.messages) >= 1)

    assert result.code == 0, result.err
    assert result.rows == [["released", delivery.id, recorder.messages[0].message_id]]
    await eventually(lambda: quarantine.holds(rest))


BUGGY = """
def authenticate(request, secrets): ...

def normalize(request):
    if request.body:
        raise KeyError(request.body.decode())  # a text that quotes the body

def sign(body, secret): ...
"""


@pytest.fixture
def buggy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """Install a vendor of another package, whose code has a bug; return where it came in."""
    info = tmp_path / "buggy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: buggy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[relay.vendors]\nbuggy = buggy_vendor\n")
    (tmp_path / "buggy_vendor.py").write_text(BUGGY)
    monkeypatch.syspath_prepend(tmp_path)
    find.cache_clear()
    discover.cache_clear()
    yield Origin(vendor="buggy", source="acme")
    find.cache_clear()
    discover.cache_clear()
    sys.modules.pop("buggy_vendor", None)


async def test_a_bug_in_a_vendors_code_keeps_no_other_delivery_back_and_quotes_no_body(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder, buggy: Origin
) -> None:
    culprits = [quarantined(f"{name} private".encode(), buggy) for name in ("Ann", "Bo")]
    await quarantine.put(culprits[0], NOT_JSON, culprits[1], NOW_JSON)

    result = await relay("quarantine", "release", "--all")
    await eventually(lambda: len(recorder.messages) >= 1)

    assert result.code == 1
    assert result.err == "relay: 3 of 4 deliveries stay in quarantine.\n"
    for culprit in culprits:
        assert ["kept", culprit.id, "it still is not understood (vendor_error)"] in result.rows
    assert "private" not in result.out + result.err
    await eventually(lambda: quarantine.holds(NOT_JSON, *culprits))


async def test_what_is_still_not_understood_stays(
    relay: RelayCommand, quarantine: Quarantine, recorder: Recorder
) -> None:
    await quarantine.put(NOT_JSON, NOW_JSON)

    result = await relay("quarantine", "release", "--all")
    await eventually(lambda: len(recorder.messages) >= 1)

    assert result.code == 1
    assert result.err == "relay: 1 of 2 deliveries stay in quarantine.\n"
    assert ["kept", NOT_JSON.id, "it still is not understood (not_json)"] in result.rows
    await eventually(lambda: quarantine.holds(NOT_JSON))


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        (Origin(vendor="swiftsell", source="gone"), "its source 'gone' is not configured"),
        (Origin(vendor="gone", source="acme"), "it is from no known vendor ('gone')"),
    ],
    ids=["source", "vendor"],
)
async def test_a_delivery_of_nobody_known_stays(
    relay: RelayCommand, quarantine: Quarantine, origin: Origin, reason: str
) -> None:
    message = quarantined(UNDERSTOOD, origin)
    await quarantine.put(message)

    result = await relay("quarantine", "release", message.id)

    assert (result.code, result.rows) == (1, [["kept", message.id, reason]])
    await eventually(lambda: quarantine.holds(message))


async def test_an_event_the_broker_does_not_take_leaves_its_delivery_where_it_is(
    relay: RelayCommand, quarantine: Quarantine, connection: AbstractConnection, exchange: str
) -> None:
    await quarantine.put(NOW_JSON)
    async with connection.channel() as channel:  # without its binding: no route anywhere
        await channel.queue_delete(f"{exchange}.unrouted")
        await channel.declare_queue(f"{exchange}.unrouted", durable=True)

    result = await relay("quarantine", "release", "--all")

    assert result.code == 1
    assert "did not take the event" in result.err
    assert "its delivery stays in quarantine" in result.err
    await eventually(lambda: quarantine.holds(NOW_JSON))
