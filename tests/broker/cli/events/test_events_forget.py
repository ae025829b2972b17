"""`relay events forget`: what a person wants erased is gone from the archive."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumers.archive.record import Archive
from tests.support.archives import event, found, opened_archive
from tests.support.relay_command import RelayCommand


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    async with opened_archive(f"sqlite:{tmp_path}/archive.db") as archive:
        await archive.append(
            [
                event("a", conversation="c1", contact={"id": "p1"}),
                event("b", conversation="c2", contact={"id": "p1"}),
                event("c", conversation="c3", contact={"id": "p2"}),
            ]
        )
        yield archive


@pytest.mark.parametrize(
    ("options", "erased"), [("--contact p1", 2), ("--conversation c3", 1), ("--contact none", 0)]
)
async def test_events_are_erased_and_counted(
    relay: RelayCommand, archive: Archive, options: str, erased: int
) -> None:
    result = await relay("events", "forget", *options.split(), "--yes")

    assert (result.code, result.out) == (0, f"{erased} events were erased.\n")
    assert len(found(archive)) == 3 - erased


async def test_it_asks_and_does_nothing_when_nobody_is_there(
    relay: RelayCommand, archive: Archive
) -> None:
    result = await relay("events", "forget", "--contact", "p1")

    assert (result.code, len(found(archive))) == (1, 3)
    assert "give --yes to erase 2 events" in result.err


@pytest.mark.parametrize(("answer", "left"), [("n", 3), ("y", 1)])
async def test_a_person_decides(
    relay: RelayCommand, archive: Archive, answer: str, left: int
) -> None:
    await relay.on_terminal("events", "forget", "--contact", "p1", types=f"{answer}\n")

    assert len(found(archive)) == left


@pytest.mark.usefixtures("archive")
async def test_it_needs_to_know_whose(relay: RelayCommand) -> None:
    result = await relay("events", "forget", "--yes")

    assert result.code == 2
    assert "Give --contact ID or --conversation ID." in result.err


async def test_without_an_archive_it_says_so(relay: RelayCommand) -> None:
    result = await relay("events", "forget", "--contact", "p1", "--yes")

    assert result.code == 1
    assert "There is no archive at" in result.err
