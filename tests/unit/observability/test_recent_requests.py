"""The ring behind `/recent`: its bounds, its cursors, its filters, and several of them as one."""

import asyncio

import orjson
import pytest

from relay.errors import Refused
from relay.observability.logs import to_json
from relay.observability.recent_requests import (
    RecentPage,
    RecentQuery,
    RecentRequests,
    cursors_of,
    merged,
    read_query,
)
from tests.support.rows import for_each, for_each_row


def keep(
    ring: RecentRequests,
    received_at: float,
    line: dict[str, object],
    types: tuple[str, ...] = (),
    details: dict[str, object] | None = None,
) -> None:
    ring.add(received_at, "POST", to_json(line), types, details)


def add(ring: RecentRequests, number: int, status: int = 200, **line: object) -> None:
    """Add a request that was answered so many seconds after 1970."""
    shown = {"request_id": str(number), "source": "acme", "status": status, **line}
    keep(ring, float(number), shown)


def filled(count: int, **limits: int) -> RecentRequests:
    ring = RecentRequests(**limits)
    for number in range(count):
        add(ring, number)
    return ring


def page_of(ring: RecentRequests, query: RecentQuery) -> RecentPage:
    return asyncio.run(ring.page(query))


def ids(page: RecentPage) -> list[int]:
    return [int(row["request_id"]) for row in page["requests"]]


def test_it_keeps_the_newest() -> None:
    assert ids(page_of(filled(5, max_requests=3), RecentQuery())) == [2, 3, 4]
    assert ids(page_of(filled(5), RecentQuery(limit=2))) == [3, 4]
    assert ids(page_of(RecentRequests(), RecentQuery())) == []


@pytest.mark.parametrize("length", [1, 1000, 100_000])
def test_names_count_for_its_bound_in_bytes(length: int) -> None:
    ring = RecentRequests(max_bytes=1_000_000)

    for number in range(900):
        details = {"header_names": ["x" * length, "é" * length]}
        keep(ring, float(number), {"status": 401, "request_id": str(number)}, (), details)

    kept = ids(page_of(ring, RecentQuery()))
    assert kept == list(range(900 - len(kept), 900))
    assert len(kept) * length <= 1_000_000
    assert kept or length * 2 > 1_000_000


@pytest.mark.parametrize("detail", ["\ud800", 2**70, {1: b"x"}, None])
def test_it_keeps_what_json_has_no_form_for(detail: object) -> None:
    ring = RecentRequests()

    keep(ring, 1.0, {"status": 400, "request_id": "1", "detail": detail}, (), {"more": detail})

    assert orjson.dumps(page_of(ring, RecentQuery()))
    assert ids(page_of(ring, RecentQuery())) == [1]


def test_a_cursor_gives_what_came_since() -> None:
    ring = filled(5)
    cursor = page_of(ring, RecentQuery())["cursor"]
    assert ids(page_of(ring, RecentQuery(after=cursor))) == []

    for number in range(5, 9):
        add(ring, number)

    first = page_of(ring, RecentQuery(after=cursor, limit=3))
    then = page_of(ring, RecentQuery(after=first["cursor"], limit=3))
    assert (ids(first), ids(then)) == ([5, 6, 7], [8])
    assert first["missed"] == then["missed"] == 0


def test_a_filter_moves_the_cursor_past_what_it_leaves_out() -> None:
    ring = filled(3)
    add(ring, 3, status=401)
    add(ring, 4)
    refused = (("verdict", "refused"),)

    page = page_of(ring, RecentQuery(wanted=refused, after=page_of(ring, RecentQuery())["cursor"]))
    assert ids(page) == []
    assert ids(page_of(ring, RecentQuery(wanted=refused))) == [3]
    add(ring, 5, status=503)
    assert ids(page_of(ring, RecentQuery(wanted=refused, after=page["cursor"]))) == [5]


def test_it_says_how_many_were_missed() -> None:
    ring = RecentRequests(max_requests=3)
    add(ring, 0)
    cursor = page_of(ring, RecentQuery())["cursor"]
    for number in range(1, 8):
        add(ring, number)

    page = page_of(ring, RecentQuery(after=cursor))

    assert ids(page) == [5, 6, 7]
    assert page["missed"] == 4


@for_each(
    cursor=["0", "-", "ffffffff-1", "é-٣", "ffffffff-" + "9" * 5000, "OURS-99", "OURS-x", "OURS"]
)
def test_the_cursor_of_another_process_gives_everything_anew(cursor: str) -> None:
    ring = filled(2)
    ours = page_of(ring, RecentQuery())["cursor"].partition("-")[0]

    page = page_of(ring, RecentQuery(after=cursor.replace("OURS", ours)))

    assert ids(page) == [0, 1]
    assert page["missed"] is None


@for_each_row(
    ("query", "expected"),
    [
        ({"source": "acme"}, [0, 1, 2, 3]),
        ({"source": "other"}, []),
        ({"verdict": "accepted"}, [0, 3]),
        ({"verdict": "quarantined"}, [1]),
        ({"verdict": "ignored"}, [4]),
        ({"verdict": "refused"}, [2]),
        ({"verdict": "handshake"}, [5, 6]),
        ({"verdict": "none of ours"}, []),
        ({"reason": "token_wrong"}, [2]),
        ({"reason": "not_json"}, [1, 3]),
        ({"type": "note.created"}, [3]),
        ({"type": "message.created"}, [0, 3]),
        ({"type": "message.created", "reason": "not_json"}, [3]),
    ],
)
def test_filters(query: dict[str, str], expected: list[int]) -> None:
    ring, both = RecentRequests(), ("message.created", "note.created")
    line = {"source": "acme", "status": 200}
    keep(ring, 0.0, {**line, "request_id": "0"}, both[:1])
    keep(ring, 1.0, {**line, "request_id": "1", "quarantined": "not_json", "event_id": "a"})
    keep(ring, 2.0, {**line, "request_id": "2", "status": 401}, (), {"reason": "token_wrong"})
    keep(ring, 3.0, {**line, "request_id": "3", "reasons": ["not_json"]}, both)

    keep(ring, 4.0, {"status": 200, "request_id": "4", "ignored": 2})
    keep(ring, 5.0, {"status": 204, "request_id": "5", "handshake": True})
    keep(ring, 6.0, {"status": 204, "request_id": "6", "handshake": True, "detail": "\ud800"})

    assert ids(page_of(ring, read_query(query))) == expected


@for_each(
    query=[
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "9" * 5000},
        {"limit": ""},
        {"sources": "acme"},
        {"client": "10.0.0.1"},
        {"latest": "yes"},
    ]
)
def test_a_query_that_means_nothing_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(Refused, match="limit from 1 to 1000"):
        read_query(query)


@for_each_row(
    ("after", "wanted", "limit", "expected", "skipped"),
    [
        (0, {}, 3, [7, 8, 9], 6),
        (0, {}, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
        (6, {}, 3, [7, 8, 9], 0),
        (6, {}, 2, [8, 9], 1),
        (9, {}, 2, [], 0),
        (0, {"verdict": "refused"}, 1, [6], 1),
        (0, {"verdict": "refused"}, 9, [3, 6], 0),
        (3, {"verdict": "refused"}, 9, [6], 0),
        (0, {"source": "rare"}, 9, [5], 0),
        (0, {"source": "acme"}, 1, [9], 7),
        (0, {"source": "none"}, 1, [], 0),
    ],
)
def test_the_latest_since_a_cursor_leave_the_others_out_and_count_them(
    after: int, wanted: dict[str, str], limit: int, expected: list[int], skipped: int
) -> None:
    ring = RecentRequests()
    cursors = []
    for number in range(10):
        add(
            ring, number, 401 if number in {3, 6} else 200, source="rare" if number == 5 else "acme"
        )
        cursors.append(page_of(ring, RecentQuery())["cursor"])

    query = {**wanted, "after": cursors[after], "latest": "true", "limit": str(limit)}
    page = page_of(ring, read_query(query))

    assert ids(page) == expected
    assert page["skipped"] == skipped
    assert page["cursor"] == cursors[-1]


def test_the_latest_of_what_is_left_in_the_ring_do_not_count_what_was_missed() -> None:
    ring = RecentRequests(max_requests=4)
    add(ring, 0)
    cursor = page_of(ring, RecentQuery())["cursor"]
    for number in range(1, 8):
        add(ring, number)

    page = page_of(ring, RecentQuery(after=cursor, limit=1, is_latest=True))

    assert (ids(page), page["skipped"], page["missed"]) == ([7], 3, 3)


@for_each(
    beside=["plain", "\ud800"],
    name=["caf\u00e9", 'a"b', "a\\b", "a\tb", "what?", "x" * 300, "\u202e"],
)
def test_a_filter_finds_a_value_however_it_is_encoded(name: str, beside: str) -> None:
    ring = RecentRequests()
    keep(ring, 0.0, {"status": 401, "request_id": "0", "reason": name, "detail": beside})
    keep(ring, 1.0, {"status": 401, "request_id": "1"}, (), {"reason": name, "detail": beside})
    keep(ring, 2.0, {"status": 401, "request_id": "2", "reasons": [name], "detail": beside})
    keep(ring, 3.0, {"status": 401, "request_id": "3", "reason": f"{name}.", "detail": beside})

    assert ids(page_of(ring, RecentQuery(wanted=(("reason", name),)))) == [0, 1, 2]


@pytest.mark.parametrize("method", ["SECRET", "post", "", "POST "])
def test_a_method_is_a_word_of_ours(method: str) -> None:
    ring = RecentRequests()
    ring.add(0.0, method, b'{"status":405}')

    assert page_of(ring, RecentQuery())["requests"][0]["method"] == "other"


# Several workers.


def ask(rings: list[RecentRequests | None], query: RecentQuery) -> RecentPage:
    """Do what a supervisor does."""
    cursors = cursors_of(query.after, len(rings))
    pages = [
        page_of(ring, query._replace(after=cursor)) if ring else None
        for ring, cursor in zip(rings, cursors, strict=True)
    ]
    return merged(pages, query)


def test_workers_are_merged_by_time() -> None:
    rings = [RecentRequests(), RecentRequests(), RecentRequests()]
    for number, worker in enumerate([0, 1, 1, 2, 0, 2, 1]):
        add(rings[worker], number)

    page = ask(rings, RecentQuery())

    assert ids(page) == list(range(7))
    assert [row["worker"] for row in page["requests"]] == [0, 1, 1, 2, 0, 2, 1]
    assert ids(ask(rings, RecentQuery(limit=2))) == [5, 6]


@pytest.mark.parametrize(("limit", "shown"), [(1, [5]), (3, [3, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_the_latest_of_several_workers(limit: int, shown: list[int]) -> None:
    first, second = RecentRequests(), RecentRequests()
    rings: list[RecentRequests | None] = [first, second, None]
    add(first, 0)
    cursor = ask(rings, RecentQuery())["cursor"]
    for number, ring in enumerate([first, second, first, second, first], start=1):
        add(ring, number)

    page = ask(rings, RecentQuery(after=cursor, limit=limit, is_latest=True))

    assert ids(page) == shown
    assert page["skipped"] == 5 - len(shown)
    assert ids(ask(rings, RecentQuery(after=page["cursor"], is_latest=True))) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_reader_of_several_workers_sees_each_request_once(limit: int) -> None:
    rings = [RecentRequests(), RecentRequests()]
    add(rings[0], 0)
    cursor = ask(rings, RecentQuery(limit=limit))["cursor"]
    for number, worker in enumerate([0, 0, 1, 0, 1, 1, 1, 0], start=1):
        add(rings[worker], number)

    seen: list[int] = []
    for _ in range(10):
        page = ask(rings, RecentQuery(after=cursor, limit=limit))
        assert len(page["requests"]) <= limit
        seen += ids(page)
        cursor = page["cursor"]

    assert sorted(seen) == list(range(1, 9))


def test_a_worker_that_does_not_answer_is_asked_again_from_where_it_was() -> None:
    first, second = filled(1), RecentRequests()
    cursor = ask([first, second], RecentQuery())["cursor"]
    add(second, 1)

    without = ask([first, None], RecentQuery(after=cursor))
    page = ask([first, second], RecentQuery(after=without["cursor"]))

    assert (ids(without), ids(page)) == ([], [1])


@pytest.mark.parametrize("after", ["", "_", "a_b_c_d_e_f", "a"])
def test_a_cursor_of_any_shape_has_a_part_for_each_worker(after: str) -> None:
    assert len(cursors_of(after, 3)) == 3
