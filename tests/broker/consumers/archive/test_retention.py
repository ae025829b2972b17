"""How long events stay in an archive, and how they are erased."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumers.archive.record import Archive, ArchiveError, Erasure
from consumers.archive.service import archive_at, delete_old
from consumers.archive.sqlite import SqliteArchive
from consumers.kit import Event
from tests.support.archives import archived, event, found, opened_archive
from tests.support.eventually import eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)  # the events were recorded on 31 January
SECRET = "Zanzibar-4711"


def aged(event_id: str, days: float) -> Event:
    return event(event_id, time=(NOW - timedelta(days=days)).isoformat())


async def test_old_events_are_deleted_and_others_stay(archive: Archive) -> None:
    old, young = aged("old", 60), aged("young", 1)
    await archive.append([old, young])

    assert await archive.delete_old(NOW - timedelta(days=10)) is False
    assert found(archive) == archived(young)


async def test_an_event_of_a_clock_that_is_wrong_stays_for_as_long_as_others(
    archive: Archive,
) -> None:
    ancient = event("ancient", time="1970-01-01T00:00:00Z")
    await archive.append([ancient])

    await archive.delete_old(datetime(2026, 1, 30, tzinfo=UTC))

    assert found(archive) == archived(ancient)


async def test_many_are_deleted_in_batches_while_others_are_appended(archive: Archive) -> None:
    await archive.append([aged(str(number), 60) for number in range(2500)])

    deleting = asyncio.create_task(delete_old(archive, keep_s=86_400, every_s=60))
    young = event("young", time=datetime.now(UTC).isoformat())
    try:
        assert await archive.append([young]) == 1
        await eventually(lambda: found(archive) == archived(young))
    finally:
        deleting.cancel()


@pytest.mark.parametrize(
    ("erasure", "left"),
    [
        (Erasure(contact="p1"), "c d"),
        (Erasure(conversation="k2"), "a d"),
        (Erasure(contact="p1", conversation="k3"), "c"),
        (Erasure(contact="nobody"), "a b c d"),
        (Erasure(contact="' OR 1=1 --"), "a b c d"),
    ],
)
async def test_events_of_a_contact_or_a_conversation_are_erased(
    archive: Archive, database: str, erasure: Erasure, left: str
) -> None:
    given = {
        name: event(name, conversation=conversation, contact={"id": contact})
        for name, conversation, contact in [
            ("a", "k1", "p1"), ("b", "k2", "p1"), ("c", "k2", "p2"), ("d", "k3", "p3"),
        ]
    }  # fmt: skip
    await archive.append([*given.values()])
    other = archive_at(database)

    count = other.count(erasure)

    assert other.erase(erasure) == count == 4 - len(left.split())
    assert found(archive) == archived(*[given[name] for name in left.split()])


async def test_more_than_one_batch_is_erased(archive: Archive) -> None:
    await archive.append([event(str(number)) for number in range(2500)])

    assert archive.erase(Erasure(conversation="c1")) == 2500
    assert found(archive) == []


def test_nothing_can_be_erased_where_there_is_no_archive(database: str) -> None:
    for call in (archive_at(database).count, archive_at(database).erase):
        with pytest.raises(ArchiveError, match="There is no archive"):
            call(Erasure(contact="p1"))


@pytest.mark.parametrize("way", ["erase", "delete_old"])
async def test_nothing_of_it_is_left_in_the_file_or_beside_it(tmp_path: Path, way: str) -> None:
    path = tmp_path / "archive.db"
    async with opened_archive(f"sqlite:{path}") as archive:
        await archive.append([event("other", conversation="c2")])
        await archive.append(
            [event(str(number), note={"text": SECRET * 900}) for number in range(20)]
        )
        if way == "erase":
            await asyncio.to_thread(SqliteArchive(path).erase, Erasure(conversation="c1"))
            assert not holds(tmp_path, SECRET)
        else:
            await archive.delete_old(NOW)

    assert not holds(tmp_path, SECRET)


def holds(directory: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in directory.iterdir())
