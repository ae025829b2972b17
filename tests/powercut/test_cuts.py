"""Whatever a damaged disk makes SQLite say counts as a fault of that disk, and stops no test."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from relay.events.message import Message
from relay.outbox import database, parked
from relay.outbox.lock import lock
from tests.powercut import cuts, load
from tests.powercut.promise import JournalPromise

MESSAGE = Message(id="a" * 32, routing_key="k", properties=b"p", body=b"b" * 9000, received_at=1.5)
NO_TEXT = "can't be read: Could not decode to UTF-8 column "


def outbox_with(directory: Path, *statements: str) -> Path:
    """Make an outbox with two rows, one of them parked, and do this to its database."""
    directory.mkdir()
    path = directory / database.FILE_NAME
    with closing(database.connect(path, 1 << 28)) as db:
        database.insert(db, [database.Pending(seq, MESSAGE) for seq in (1, 2)])
        parked.park(db, [parked.Parking(2, "cause", "reason", 1.5)], 0.0)
        for statement in statements:
            db.execute(statement)
    return directory


def test_what_is_whole_has_no_fault(tmp_path: Path) -> None:
    content = cuts.content_of(outbox_with(tmp_path / "outbox"))

    assert content == cuts.Content([(MESSAGE.id, MESSAGE.body)] * 2, parked=1)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE outbox SET id = CAST(x'ff41' AS TEXT) WHERE seq = 1", NO_TEXT),
        ("UPDATE outbox SET id = CAST(x'ff41' AS TEXT) WHERE seq = 2", NO_TEXT),
        ("UPDATE outbox SET id = CAST(x'ff' || body AS TEXT)", NO_TEXT),
        ("UPDATE outbox SET routing_key = CAST(x'ff41' AS TEXT)", NO_TEXT),
        ("UPDATE outbox SET body = 'text' WHERE seq = 2", "a value has another type"),
        ("UPDATE outbox SET properties = 7", "a value has another type"),
        ("UPDATE outbox SET id = x'61'", "a value has another type"),
        ("UPDATE outbox SET received_at = 'noon'", "a value has another type"),
        ("UPDATE outbox SET is_quarantined = x'01'", "a value has another type"),
        ("DELETE FROM parked_causes", "a parked event has no cause"),
        ("ALTER TABLE outbox RENAME COLUMN body TO bo", "can't be read: no such column: body"),
        ("ALTER TABLE parked RENAME COLUMN cause TO c", "can't be read: no such column: cause"),
        ("DROP TABLE outbox", "does not open: "),
        ("PRAGMA user_version = 77", "does not open: "),
    ],
)
def test_what_is_damaged_has_a_fault_with_its_reason(
    damage: str, fault: str, tmp_path: Path
) -> None:
    directory = outbox_with(tmp_path / "outbox", damage)

    content = cuts.content_of(directory)

    assert content.fault.startswith(fault)
    assert len(content.fault) < 250
    lock(directory).close()  # and nothing of it is left open


def test_a_torn_page_has_a_fault(tmp_path: Path) -> None:
    directory = outbox_with(tmp_path / "outbox")
    path = directory / database.FILE_NAME
    data = bytearray(path.read_bytes())
    data[database.PAGE_BYTES : 2 * database.PAGE_BYTES : 2] = bytes(database.PAGE_BYTES // 2)
    path.write_bytes(data)

    assert cuts.content_of(directory).fault == "set aside as corrupt"


def test_what_is_wrong_with_the_reading_itself_is_no_fault_of_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "_WITHOUT_CAUSE", "SELECT count(*) FROM prked")
    journal = tmp_path / "journal"
    journal.touch()
    played = cuts.Cuts(tmp_path, JournalPromise(str(journal)), load.judge, seed=1)

    with pytest.raises(sqlite3.OperationalError, match="no such table: prked"):
        played.play([], disks=1)
