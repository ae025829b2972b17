"""What every archive does, in a real SQLite and a real PostgreSQL."""

import sqlite3
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from consumers.archive.record import Archive, ArchiveError, Query
from consumers.archive.service import archive_at
from consumers.kit import Event
from consumers.kit.testing import events as sample_events
from relay import vendors
from tests.support.archives import archived, event, found, opened_archive

ALL = 100_000
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(minutes: int) -> str:
    return (NOON + timedelta(minutes=minutes)).isoformat()


def execute(database: str, statement: str) -> None:
    """Do something to an archive that the service never would."""
    if database.startswith("sqlite:"):
        connection: sqlite3.Connection | psycopg.Connection
        connection = sqlite3.connect(database.removeprefix("sqlite:"))
    else:
        connection = psycopg.connect(database)
    connection.execute(statement)
    connection.commit()
    connection.close()


async def test_events_come_back_as_they_came_and_the_oldest_first(archive: Archive) -> None:
    late, early, middle = [event(each, time=at(int(each))) for each in ("30", "10", "20")]

    assert await archive.append([late, early, middle]) == 3

    assert found(archive) == archived(early, middle, late)


async def test_events_of_the_same_moment_keep_the_order_they_came_in(archive: Archive) -> None:
    events = [event(f"{n * 7919 % 100}") for n in range(100)]

    await archive.append(events[:50])
    await archive.append(events[50:])

    assert found(archive) == archived(*events)


async def test_an_event_that_comes_again_stays_what_it_was(archive: Archive) -> None:
    first, again, other = event("a"), event("a", text="something else", vendor=""), event("b")

    assert await archive.append([first]) == 1
    assert await archive.append([again, other, other]) == 1
    assert await archive.append([first, other, again]) == 0

    assert found(archive) == archived(first, other)


async def test_a_batch_is_kept_whole_or_not_at_all(archive: Archive, database: str) -> None:
    await archive.append([event("good")])
    if database.startswith("sqlite:"):
        refusal = "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        refuse = f"CREATE TRIGGER t BEFORE INSERT ON archive WHEN NEW.id = 'bad' {refusal}"
    else:
        refuse = "ALTER TABLE archive ADD CHECK (id <> 'bad')"
    execute(database, refuse)

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        await archive.append([event("one"), event("bad"), event("two")])

    assert found(archive) == archived(event("good"))
    assert await archive.append([event("one"), event("two")]) == 2


async def test_no_event_at_all_is_no_trouble(archive: Archive) -> None:
    assert await archive.append([]) == 0
    assert found(archive) == []


@pytest.mark.parametrize("vendor", vendors.discover())
async def test_every_documented_event_is_there_exactly_once(archive: Archive, vendor: str) -> None:
    events = sample_events(vendor)

    await archive.append(events)
    await archive.append(events)

    assert sorted(found(archive)) == sorted(archived(*events))
    for each in events:
        if each.conversation_id:
            assert archived(each)[0] in found(archive, conversation=each.conversation_id)


ODD = {
    "NUL in the body": event(raw=b'{"text": "a\\u0000b"}'),
    "NUL in every column": event(
        "a\0", conversation="b\0", event_type="c\0", vendor="d\0", contact={"id": "\0"}
    ),
    "digits": event(raw=b"[12345678901234567890123456789012345678901, 1.0e-400, -0, 1E2]"),
    "white space": event(raw=b'{\r\n\t"a" : [ ]\n}'),
    "repeated members": event(raw=b'{"a": 1, "a": 2}'),
    "empty fields": event(conversation="", event_type=".", vendor="", time="", contact={"id": ""}),
    "fields of other types": event(conversation=None, contact=[], message="text"),
    "long ids": event("i" * 10_000, conversation="ü" * 10_000, event_type="t" * 10_000),
    "ids just short enough": event("𝄞" * 255, conversation="𝄞" * 255, event_type="𝄞" * 255),
    "SQL": event("'; DROP TABLE archive; --", conversation="%s ? {}"),
    "lone quotes and slashes": event('\\"', conversation="\\u0000\\"),
    "16 MiB": event(raw=b'"' + b"x" * (16 * 1024 * 1024 - 1000) + b'"'),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_odd_content_is_kept_to_the_byte_and_found(archive: Archive, odd: Event) -> None:
    await archive.append([event("another", conversation="another"), odd])
    await archive.append([odd])

    assert archived(odd)[0] in found(archive)
    assert len(found(archive)) == 2
    assert found(archive, type=odd.type, vendor=odd.vendor or None)[-1:] == archived(odd)
    if odd.conversation_id:
        assert found(archive, conversation=odd.conversation_id) == archived(odd)


@pytest.mark.parametrize(
    "time",
    [
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "2026-01-31T12:00:00.123456789Z",
        "2026-01-31T12:00:00+14:00",
        "1969-12-31T23:59:59.000001Z",
    ],
)
async def test_any_time_is_found_at_that_time(archive: Archive, time: str) -> None:
    (wanted,) = archived(event("wanted", time=time))
    await archive.append([event("wanted", time=time), event("other", time=at(1))])
    moment = datetime.fromisoformat(time).astimezone(UTC)

    assert wanted in found(archive, since=moment)
    assert wanted not in found(archive, until=moment)
    assert wanted in found(archive)


@pytest.mark.parametrize("time", [None, "", "yesterday", "0001-01-01T00:00:00+14:00"])
async def test_an_event_without_a_time_has_that_of_the_relay(
    archive: Archive, time: str | None
) -> None:
    await archive.append([event(time=time)])

    recorded_at = NOON + timedelta(seconds=1.5)
    assert found(archive, since=recorded_at)
    assert not found(archive, until=recorded_at)


async def test_what_was_appended_is_there_after_a_restart(database: str) -> None:
    async with opened_archive(database) as archive:
        await archive.append([event("a")])

    assert found(archive) == archived(event("a"))
    async with opened_archive(database) as again:
        assert await again.append([event("a"), event("b")]) == 1
        assert found(again) == archived(event("a"), event("b"))


async def test_an_archive_of_a_newer_version_is_left_alone(database: str) -> None:
    async with opened_archive(database) as archive:
        await archive.append([event("a")])
    is_sqlite = database.startswith("sqlite:")
    newer = "PRAGMA user_version = 2" if is_sqlite else "UPDATE archive_schema SET version = 2"
    execute(database, newer)

    sentence = "has schema version 2, and this program knows 1; use the program that wrote it"
    with pytest.raises(ArchiveError, match=sentence):
        await archive_at(database).open()
    with pytest.raises(ArchiveError, match=sentence):
        found(archive)


async def test_a_reader_sees_one_moment_and_does_not_hold_up_the_writer(archive: Archive) -> None:
    await archive.append([event(f"{n}") for n in range(1000)])
    reader = archive.find(Query(limit=ALL))
    first = next(reader)

    assert await archive.append([event(f"later {n}") for n in range(1000)]) == 1000

    assert [first, *reader] == archived(*[event(f"{n}") for n in range(1000)])
    assert len(found(archive)) == 2000


async def test_a_reader_may_stop_early(archive: Archive) -> None:
    await archive.append([event(f"{n}", raw=b'"%s"' % (b"x" * 10_000)) for n in range(1000)])

    reader = archive.find(Query(limit=ALL))
    next(reader)
    reader.close()

    assert await archive.append([event("later")]) == 1


async def test_there_is_nothing_to_find_where_no_archive_is(database: str) -> None:
    with pytest.raises(ArchiveError, match="There is no archive"):
        found(archive_at(database))
