"""The file that a replay resumes from: complete, its own, and gone once the replay is done."""

import fcntl
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.cli.replay.progress import Progress, ReplayRequest, open_progress
from relay.errors import RelayError

REQUEST = ReplayRequest(history="webhooks.history", to="crm-sync", key="#", since="2h", until="")
BEGUN = Progress(
    id="20261120T160000Z-a1b2c3",
    since_s=100,
    until_s=200,
    first_offset=10,
    next_offset=10,
    end_offset=99,
    published=0,
)


def resume(
    path: Path, *steps: tuple[Progress, float], request: ReplayRequest = REQUEST
) -> Progress | None:
    """Save steps, each with its time; return what the file said before."""
    with open_progress(path, request, restart=False) as file:
        earlier = file.latest
        for progress, now in steps:
            file.update(progress, now)
    return earlier


def test_the_next_run_finds_what_was_noted_last(tmp_path: Path) -> None:
    path = tmp_path / "made" / "for it" / "replay.json"
    later = replace(BEGUN, next_offset=60, published=50)

    first = resume(path, (BEGUN, 1000.0), (later, 1000.1))

    assert first is None
    assert resume(path) == later


def test_it_is_written_once_a_second_and_not_for_each_batch(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"
    written = []

    with open_progress(path, REQUEST, restart=False) as file:
        for number in range(30):
            file.update(replace(BEGUN, next_offset=10 + number), 1000 + number / 10)
            written.append(json.loads(path.read_text())["progress"]["next_offset"])

    assert sorted(set(written)) == [10, 20, 30]


def test_what_is_noted_is_kept_when_the_replay_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"

    later = replace(BEGUN, next_offset=60, published=50)

    def break_off() -> None:
        with open_progress(path, REQUEST, restart=False) as file:
            file.update(BEGUN, 1000.0)
            file.update(later, 1000.1)
            raise RelayError("The connection was lost.")

    with pytest.raises(RelayError, match="lost"):
        break_off()

    assert resume(path) == later


def test_a_replay_that_is_done_leaves_no_progress_behind(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"

    resume(path, (BEGUN, 1000.0))
    resume(path, (replace(BEGUN, next_offset=100), 1001.0))

    assert [path.name for path in tmp_path.iterdir()] == ["replay.json.lock"]


def test_a_replay_that_never_began_leaves_no_progress_behind(tmp_path: Path) -> None:
    resume(tmp_path / "replay.json")

    assert [path.name for path in tmp_path.iterdir()] == ["replay.json.lock"]


def test_beginning_anew_looks_at_no_file(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"
    path.write_text("{")

    with open_progress(path, REQUEST, restart=True) as file:
        assert file.latest is None


def test_one_replay_runs_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"

    with (
        open_progress(path, REQUEST, restart=False),
        pytest.raises(RelayError, match="This replay runs already"),
    ):
        resume(path)


def test_a_lock_that_was_opened_before_the_last_replay_ended_keeps_the_next_one_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "replay.json"
    with open_progress(path, REQUEST, restart=False):
        early = (tmp_path / "replay.json.lock").open("a")

    with early:
        fcntl.flock(early, fcntl.LOCK_EX | fcntl.LOCK_NB)

        with pytest.raises(RelayError, match="This replay runs already"):
            resume(path)


def test_progress_says_which_events_it_is_of() -> None:
    assert BEGUN.time_range == "from 1970-01-01T00:01:40Z to before 1970-01-01T00:03:20Z"


def test_the_progress_of_another_replay_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"
    resume(path, (BEGUN, 1000.0))

    with pytest.raises(RelayError, match="another replay, to crm-sync since 2h"):
        resume(path, request=replace(REQUEST, key="swiftsell.#"))

    assert resume(path) == BEGUN


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"asked": {}, "progress": {}}',
        '{"asked": 1, "progress": 2}',
        "\xff",
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "replay.json"
    path.write_text(content, encoding="latin-1")

    with pytest.raises(RelayError, match=r"replay\.json is no progress of a replay; --restart"):
        resume(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"next_offset": 9},
        {"next_offset": 101},
        {"first_offset": -1},
        {"next_offset": "50"},
        {"next_offset": None},
        {"since_s": "100"},
        {"until_s": 100},
        {"more": 1},
    ],
    ids=str,
)
def test_progress_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "replay.json"
    resume(path, (BEGUN, 1000.0))
    document = json.loads(path.read_text())
    document["progress"] |= changed
    path.write_text(json.dumps(document))

    with pytest.raises(RelayError, match="is no progress of a replay"):
        resume(path)


def test_a_place_that_cannot_be_used_is_named_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RelayError, match=r"The directory .*file can't be used: "):
        resume(tmp_path / "file" / "replay.json")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"
    (tmp_path / "replay.json.tmp").mkdir()

    with pytest.raises(RelayError, match=r"replay\.json can't be written: Is a directory"):
        resume(path, (BEGUN, 1000.0))


def test_other_words_are_kept_in_another_file() -> None:
    names = {
        replace(REQUEST, **changed).default_path
        for changed in (
            *({}, {"to": "crm"}, {"key": "a.#"}, {"since": "3h"}, {"until": "1h"}),
            *({"history": "other.history"}, {"to": "../../etc/passwd"}),
        )
    }

    assert len(names) == 7
    assert {path.parent for path in names} == {Path("var/replay")}
    assert REQUEST.default_path == replace(REQUEST).default_path
