"""Rows of the feed: which filters anything can meet, their order, and what the script gets."""

import json

import pytest

from relay.console.feed.rows import (
    encoded,
    event_row,
    filters_of,
    has_events,
    has_requests,
    newest,
)
from tests.support.consuming import KEY, body
from tests.support.rows import for_each, for_each_row


@for_each_row(
    ("query", "requests", "events"),
    [
        ({}, True, True),
        ({"source": "acme", "type": "note.created"}, True, True),
        ({"verdict": "published"}, False, True),
        ({"verdict": "refused"}, True, False),
        ({"reason": "not_json"}, True, False),
        ({"reason": "", "page": "2"}, True, True),
    ],
)
def test_nothing_is_asked_for_that_can_meet_no_filter(
    query: dict[str, str], *, requests: bool, events: bool
) -> None:
    wanted = filters_of(query)

    assert (has_requests(wanted), has_events(wanted)) == (requests, events)


@for_each(text=[b"", b"no JSON", b"[]", b'"text"', b"{", b"\xff"])
def test_what_is_no_event_has_no_row(text: bytes) -> None:
    assert event_row(KEY, text, "1") is None


def test_the_newest_rows_are_chosen_by_time() -> None:
    rows = [{"time": f"2026-11-29T04:00:0{second}Z"} for second in (3, 1, 2)]

    assert [row["time"][18] for row in newest(rows, 2)] == ["2", "3"]
    assert newest(rows, 9) == sorted(rows, key=lambda row: row["time"])


@pytest.mark.parametrize("text", ["\u202egpj.exe", "a\nb", "</script>\r\n\r\ndata: x", "x" * 1000])
def test_a_row_is_one_line_of_its_stream(text: str) -> None:
    row = event_row(KEY, body(conversation=text), "7-1")
    assert row is not None

    lines = encoded([row], more=3, unseen=0, error=text).decode().split("\n")

    assert lines[0] == "event: rows"
    assert lines[2:] == ["", ""]
    shown = json.loads(lines[1].removeprefix("data: "))
    assert shown["more"] == 3
    assert shown["rows"][0]["key"] == "7-1"
    assert len(shown["rows"][0]["conversation"]) <= 300
    assert "\u202e" not in shown["rows"][0]["conversation"]
