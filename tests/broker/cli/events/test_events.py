"""`relay events`: what the archive holds, for a person or a pipe."""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumers.archive.record import Archive
from tests.support.archives import event, opened_archive
from tests.support.relay_command import RelayCommand

RAW = b'{\n  "n": 123456789012345678901234567890,\r\n  "text": "a\\nb"\n}'


def minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """An archive that is in use, with an event of each hour."""
    async with opened_archive(f"sqlite:{tmp_path}/archive.db") as archive:
        await archive.append(
            [
                event("old", time=minutes_ago(150), note={"text": "old"}),
                event("late", time=minutes_ago(30), note={"text": "late"}, conversation="c2"),
                event("middle", time=minutes_ago(90), note={"text": "middle"}, vendor="other"),
                event(
                    "type", time=minutes_ago(91), note={"text": "type"}, event_type="note.created"
                ),
            ]
        )
        yield archive


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "old type middle late"),
        ("--limit 2", "middle late"),
        ("--since 2h", "type middle late"),
        ("--until 2h", "old"),
        ("--since 2h --until 1h --limit 1", "middle"),
        ("--conversation c2", "late"),
        ("--conversation c3", ""),
        ("--conversation=", ""),
        ("--type note.created", "type"),
        ("--vendor other", "middle"),
        ("--vendor example --type message.created --limit 1", "late"),
        ("--since 2000-01-01 --until 2000-01-02T00:00Z", ""),
    ],
)
async def test_events_are_printed_oldest_first(
    relay: RelayCommand, options: str, words: str
) -> None:
    result = await relay("events", *options.split())

    assert result.code == 0
    assert [row[-1] for row in result.rows] == words.split()


async def test_an_event_is_one_line_that_cannot_drive_a_terminal(
    relay: RelayCommand, archive: Archive
) -> None:
    await archive.append(
        [
            event(
                "now",
                time="2030-01-31T12:00:00Z",
                actor={"type": "agent", "name": "Ann"},
                message={"kind": "text", "text": "Hello\n\x1b[2J"},
            )
        ]
    )

    result = await relay("events", "--limit", "1")

    (row,) = result.rows
    assert row == [
        "2030-01-31T12:00:00Z",
        "example.message.created",
        "",
        "agent Ann",
        "Hello\\n\\u001b[2J",
    ]


async def test_a_program_gets_every_byte_but_the_line_breaks(
    relay: RelayCommand, archive: Archive
) -> None:
    stored = event("raw", time="2030-01-31T12:00:00Z", raw=RAW)
    await archive.append([stored])

    result = await relay("events", "--json")

    lines = result.out.splitlines()
    assert len(lines) == 5
    assert lines[-1] == stored.body.decode().replace("\r", " ").replace("\n", " ")
    assert json.loads(lines[-1])["data"]["raw"] == json.loads(RAW)


@pytest.mark.usefixtures("archive")
async def test_a_person_sees_the_same_at_a_terminal(relay: RelayCommand) -> None:
    result = await relay.on_terminal("events", "--limit", "1")

    assert result.code == 0
    assert "late" in result.out


async def test_postgresql_is_read_as_well(relay: RelayCommand, postgres_url: str) -> None:
    async with opened_archive(postgres_url) as archive:
        await archive.append([event(raw=RAW)])

        result = await relay("events", "--json", RELAY_CONSUMERS__ARCHIVE__DATABASE=postgres_url)

    assert json.loads(result.out)["data"]["raw"] == json.loads(RAW)


async def test_an_archive_that_is_not_there_is_one_sentence(
    relay: RelayCommand, tmp_path: Path
) -> None:
    result = await relay("events")

    assert (result.code, result.out) == (1, "")
    assert result.err == f"relay: There is no archive at {tmp_path}/archive.db.\n"
    assert not (tmp_path / "archive.db").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--since yesterday", "Invalid value for '--since': 'yesterday' is no moment: 30m, 2h or"),
        ("--since 1h --until 2h", "--since must be before --until."),
        ("--limit 0", "Invalid value for '--limit': 0 is not in the range x>=1."),
    ],
)
async def test_what_makes_no_sense_is_one_sentence(
    relay: RelayCommand, options: str, problem: str
) -> None:
    result = await relay("events", *options.split())

    assert result.code == 2
    assert f"Error: {problem}" in result.err


async def test_a_reader_that_has_seen_enough_causes_no_traceback(
    relay: RelayCommand, archive: Archive
) -> None:
    await archive.append([event(f"{n}") for n in range(2000)])
    reading, writing = os.pipe()
    os.close(reading)

    process = await relay.start("events", "--json", stdout=writing)
    os.close(writing)
    _, err = await process.communicate()

    assert err == b""


@pytest.mark.usefixtures("archive")
async def test_it_is_said_when_there_is_nothing_or_more(relay: RelayCommand) -> None:
    nothing = await relay("events", "--vendor", "nobody")
    more = await relay("events", "--limit", "1")

    assert (nothing.out, nothing.err) == ("", "No event matches.\n")
    assert more.err == "The newest 1 are shown; --limit shows more.\n"
