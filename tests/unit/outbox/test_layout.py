"""Which directory belongs to which worker, and which to nobody any more."""

from pathlib import Path

import pytest

from relay.outbox import layout
from relay.outbox.database import FILE_NAME


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with the outboxes of five workers, and with what is none."""
    for number in range(5):
        directory = layout.directory_of(tmp_path, number)
        directory.mkdir(exist_ok=True)
        (directory / FILE_NAME).touch()
    for name in ("worker-9", "worker-0", "worker-01", "worker-x", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "worker-0" / FILE_NAME).touch()
    return tmp_path


def test_the_outbox_of_a_single_process_is_the_first_workers(tmp_path: Path) -> None:
    assert layout.directory_of(tmp_path, 0) == tmp_path
    assert layout.directory_of(tmp_path, 12) == tmp_path / "worker-12"


def test_what_is_present_is_found_in_order(root: Path) -> None:
    assert layout.present(root) == [0, 1, 2, 3, 4]
    assert layout.present(root / "nowhere") == []


@pytest.mark.parametrize(
    ("count", "worker", "numbers"),
    [(1, 0, [1, 2, 3, 4, 9]), (2, 0, [2, 4]), (2, 1, [3, 9]), (4, 0, [4]), (4, 3, []), (5, 0, [])],
)
def test_each_left_over_outbox_falls_to_one_worker(
    root: Path, count: int, worker: int, numbers: list[int]
) -> None:
    found = layout.orphaned(root, worker=worker, count=count)

    assert found == [root / f"worker-{number}" for number in numbers]


def test_the_shares_never_exceed_the_bound() -> None:
    assert layout.share_bytes(10, 1) == 10
    assert layout.share_bytes(10, 3) * 3 <= 10
