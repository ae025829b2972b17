"""What a source redacts, lets go along and leaves out, over HTTP and through the subprocess."""

import orjson
import pytest

from relay.events import ignored_types
from relay.events.redaction_rules import redaction_of
from relay.events.source_rules import SourceRules
from tests.integration.conftest import Start, source

AUTHORIZED = {"Authorization": "tok-1", "User-Agent": "Hook/1"}
SMALL, LARGE = "", "x" * 70_000  # the second is processed in the subprocess
RULES = SourceRules(
    redaction=redaction_of({"/message/text": "mask", "/raw/event/user": "remove"}, None),
    headers=("user-agent",),
    ignored=ignored_types.pattern_of(["note.*"], ["note.created"]),
)


def body(*elements: dict[str, object]) -> bytes:
    return orjson.dumps({"events": [{"event": element} for element in elements]})


@pytest.mark.parametrize("filling", [SMALL, LARGE])
async def test_the_rules_hold_for_small_and_large_deliveries(start: Start, filling: str) -> None:
    relay = await start(source("swiftsell", "tok-1", rules=RULES))
    message = {"message": {"type": "text", "text": {"body": "private 1"}}}

    answer = await relay.post(
        "/in/swiftsell",
        body(
            {"type": "note", "filling": filling},
            {"type": "other", "user": "ann-4711", "about": "ann-4711"},
            {"type": "message", "payload": message},
        ),
        headers=AUTHORIZED,
    )

    told = orjson.loads(answer.body)
    rows = await relay.stored()
    assert (answer.status, len(told["events"]), len(told["ignored"])) == (200, 2, 1)
    assert [row.message.id for row in rows] == told["events"]
    assert all(b"http-user-agent" in row.message.properties for row in rows)
    assert not any(b"ann-4711" in row.message.body for row in rows)
    assert relay.counted("relay_ignored_total", source="swiftsell") == 1
    assert relay.counted("relay_events_total", vendor="swiftsell", type="unrecognized") == 1


async def test_a_delivery_of_nothing_but_ignored_events_is_no_handshake(start: Start) -> None:
    relay = await start(source("swiftsell", "tok-1", rules=RULES))

    answer = await relay.post("/in/swiftsell", body({"type": "note"}), headers=AUTHORIZED)

    told = orjson.loads(answer.body)
    assert (told["status"], told["events"], len(told["ignored"])) == ("accepted", [], 1)
    assert await relay.stored() == []
    assert relay.counted("relay_ignored_total", source="swiftsell") == 1
    assert relay.counted("relay_handshakes_total", source="swiftsell") == 0


async def test_a_source_shows_from_the_start_that_nothing_is_ignored(start: Start) -> None:
    relay = await start(source("swiftsell", "tok-1"))

    assert relay.registry.get_sample_value("relay_ignored_total", {"source": "swiftsell"}) == 0
