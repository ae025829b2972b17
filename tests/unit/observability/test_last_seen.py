"""When a source is silent: watched, and not heard of in time."""

import pytest
from prometheus_client import CollectorRegistry

from relay.observability.last_seen import LastSeen, SilentSource, silent_everywhere
from tests.support.rows import for_each_row


def watching(expected: dict[str, float], now: float = 1000.0) -> LastSeen:
    last_seen = LastSeen(CollectorRegistry())
    last_seen.watch(expected, now)
    return last_seen


@for_each_row(
    ("seen", "now", "silent"),
    [
        (None, 1060.0, False),  # it waits first: before its start others may have seen the source
        (None, 1061.0, True),
        (1030.0, 1090.0, False),
        (1030.0, 1091.0, True),
        (900.0, 1059.0, False),  # seen before it was watched
        (900.0, 1061.0, True),
        (5000.0, 1061.0, False),  # the clock was set back
    ],
)
def test_a_source_is_silent_once_its_time_is_over(
    seen: float | None, now: float, *, silent: bool
) -> None:
    last_seen = watching({"acme": 60, "unwatched": 0})
    if seen is not None:
        last_seen.times["acme"] = seen

    assert list(last_seen.silent(now)) == (["acme"] if silent else [])


def test_it_says_when_the_source_was_seen() -> None:
    last_seen = watching({"acme": 60, "never": 90.5})
    last_seen.times["acme"] = 1000.0

    assert last_seen.silent(2000.0) == {
        "acme": {"last_seen": "1970-01-01T00:16:40.000000Z", "expect_every_s": 60},
        "never": {"last_seen": None, "expect_every_s": 90.5},
    }


def test_a_reload_watches_on_and_forgets_what_is_gone() -> None:
    last_seen = watching({"acme": 60, "gone": 60})
    last_seen.times["gone"] = 1000.0

    last_seen.watch({"acme": 120, "new": 60}, 1055.0)

    assert list(last_seen.silent(1116.0)) == ["new"]
    assert list(last_seen.silent(1121.0)) == ["acme", "new"]
    shown = {
        (sample.name, sample.labels["source"]): sample.value
        for metric in last_seen.collect()
        for sample in metric.samples
    }
    assert shown == {
        ("relay_source_watched_since_timestamp_seconds", "acme"): 1000.0,
        ("relay_source_watched_since_timestamp_seconds", "new"): 1055.0,
        ("relay_source_expect_every_seconds", "acme"): 120.0,
        ("relay_source_expect_every_seconds", "new"): 60.0,
    }


def silent(last_seen: str | None) -> SilentSource:
    return {"last_seen": last_seen, "expect_every_s": 60}


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([], {}),
        ([{}, {"a": silent("1")}], {}),
        ([{"a": silent("1")}, {"a": silent("2")}], {"a": silent("2")}),
        ([{"a": silent("1"), "b": silent("1")}, {"a": silent(None)}], {"a": silent("1")}),
        ([{"a": silent(None)}, {"a": silent(None)}], {"a": silent(None)}),
    ],
)
def test_of_several_processes_each_must_find_it_silent(
    processes: list[dict[str, SilentSource]], expected: dict[str, SilentSource]
) -> None:
    assert silent_everywhere(processes) == expected
