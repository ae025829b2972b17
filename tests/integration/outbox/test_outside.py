"""Commands look into an outbox, and change what is parked there, while it is open or not."""

from pathlib import Path

import pytest

from relay.errors import OutboxError
from relay.outbox import outside
from relay.outbox.parked import Parking
from tests.integration.outbox.conftest import Open, message

KEY = "webhooks a.b"


@pytest.fixture
async def parked(open_outbox: Open) -> None:
    """An open outbox with three events, of which the second is parked."""
    outbox = await open_outbox()
    await outbox.append([message(name) for name in "abc"])
    await outbox.parked.park([Parking(2, KEY, "refused", 5.0)], due=9.0)


@pytest.mark.usefixtures("parked")
def test_all_events_are_found_or_only_those_that_are_parked(directory: Path) -> None:
    found = [outside.find_all(directory, is_parked=parked, limit=9) for parked in (False, True)]

    assert [[event.id for event in events] for events in found] == [["a", "b", "c"], ["b"]]
    assert (found[1][0].parked_reason, found[1][0].parked_at) == ("refused", 5.0)
    assert outside.find(directory, "b") == (found[1][0], b"b" * 100)


@pytest.mark.usefixtures("parked")
@pytest.mark.parametrize("ids", [[], ["b"]])
def test_parked_events_are_retried_by_their_ids_or_all(directory: Path, ids: list[str]) -> None:
    assert outside.retry(directory, ids) == ["b"]


async def test_a_retry_reaches_the_open_outbox(open_outbox: Open, directory: Path) -> None:
    outbox = await open_outbox()
    await outbox.append([message()])
    await outbox.parked.park([Parking(1, KEY, "refused", 5.0)], due=9.0)

    outside.retry(directory, ["a"])

    assert await outbox.parked.next_due(1.0)


async def test_what_is_dropped_is_gone_and_its_cause_is_forgotten(
    open_outbox: Open, directory: Path
) -> None:
    outbox = await open_outbox()
    await outbox.append([message()])
    await outbox.parked.park([Parking(1, KEY, "refused", 5.0)], due=9.0)
    assert (await outbox.stats()).parked.messages == 1

    outside.drop(directory, ["a"])

    assert await outbox.fetch([1]) == []
    assert await outbox.parked.next_due(10.0) is None
    stats = await outbox.stats()
    assert (stats.depth, stats.parked.messages) == (0, 0)


@pytest.mark.usefixtures("parked")
def test_what_is_not_parked_is_neither_retried_nor_dropped(directory: Path) -> None:
    for act in (outside.retry, outside.drop):
        with pytest.raises(OutboxError, match="No event a is parked"):
            act(directory, ["a"])
    with pytest.raises(OutboxError, match="no event x"):
        outside.find(directory, "x")


async def test_the_age_is_of_the_oldest_event_that_is_not_parked(open_outbox: Open) -> None:
    outbox = await open_outbox()
    await outbox.append([message(), message("b")._replace(received_at=1_800_000_000.0)])
    await outbox.parked.park([Parking(1, KEY, "refused", 5.0)], due=9.0)

    stats = await outbox.stats()

    assert stats.oldest_received_at == 1_800_000_000.0
    assert stats.parked == (1, "refused", 5.0)
