"""What `relay check --deep` says of this machine."""

import threading
from pathlib import Path

import pytest

from relay.cli.checks import machine
from relay.cli.checks.finding import Finding, joined
from relay.errors import OutboxError

MOUNTS = [
    "22 1 0:5 / / rw - overlay overlay rw",
    "23 22 0:6 / /run rw,nosuid shared:3 - tmpfs tmpfs rw",
    "24 22 8:1 / /var/lib rw - ext4 /dev/sda1 rw",
    "25 24 0:7 / /var/lib/a\\040b rw - nfs4 server:/x rw",
]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "overlay"),
        ("/run/x", "tmpfs"),
        ("/runx", "overlay"),
        ("/var/lib/relay/outbox", "ext4"),
        ("/var/lib/a b/outbox", "nfs4"),
    ],
)
def test_the_innermost_mount_counts(place: str, kind: str) -> None:
    assert machine.kind_of(Path(place), MOUNTS) == kind


async def test_a_disk_that_hangs_is_given_up() -> None:
    hangs = threading.Event()

    with pytest.raises(OutboxError, match=r"did not answer within 0\.05 s: fsync\."):
        await machine.within(0.05, "fsync", hangs.wait)
    hangs.set()


async def test_what_goes_wrong_in_the_thread_is_raised() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await machine.within(10, "fsync", fail)


async def test_a_disk_with_less_room_than_the_outbox_may_take_is_a_warning(tmp_path: Path) -> None:
    missing = tmp_path / "var/outbox"

    roomy = await machine.space(missing, 1_000_000, 10)
    small = await machine.space(missing, 10**18, 10)

    assert (roomy.is_warning, small.is_warning) == (False, True)
    assert "lower outbox.max_bytes" in small.text
    assert not missing.exists()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_an_fsync_is_measured_and_nothing_stays(tmp_path: Path) -> None:
    found = await machine.disk(tmp_path / "outbox", 10)

    assert "an fsync takes " in found.text
    assert names_in(tmp_path) == []


async def test_the_clock_is_looked_at() -> None:
    assert (await machine.clock()).text


def test_warnings_come_first() -> None:
    found = joined([Finding("fine"), Finding("late", is_warning=True)])

    assert found == Finding("late; fine", is_warning=True)
