"""Receivers are asked more often only where that shows a watcher more."""

from relay.console.feed.requests import FAST_POLL_S, POLL_S, Rhythm


def test_without_filters_a_flood_is_asked_for_no_more_often() -> None:
    rhythm = Rhythm(is_filtered=False)

    assert {rhythm.pause_s(missed) for missed in (0, 1, 1000, 10**6, 0)} == {POLL_S}


def test_with_filters_it_is_until_nothing_was_missed_for_a_minute() -> None:
    rhythm = Rhythm(is_filtered=True)
    assert rhythm.pause_s(0) == POLL_S

    pauses_s = [rhythm.pause_s(missed) for missed in (1, 0, 500, *[0] * 300)]

    last_fast = max(at for at, pause_s in enumerate(pauses_s) if pause_s == FAST_POLL_S)
    assert set(pauses_s[:last_fast]) == {FAST_POLL_S}
    assert 50 <= (last_fast - 2) * FAST_POLL_S <= 70
    assert set(pauses_s[last_fast + 1 :]) == {POLL_S}
