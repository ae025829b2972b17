"""Searching an archive: what is found, and that it takes an index whatever is asked for."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from consumers.archive.record import Archive, Archived, Query, search
from consumers.archive.sqlite import _index, _search
from consumers.kit import Event
from tests.support.archives import archived, event, opened_archive

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALL = 100_000

CONVERSATIONS, TYPES, VENDORS = ("c1", "c2", "c3"), ("a", "b", "c"), ("v", "w")
MOMENTS = (None, NOON + timedelta(minutes=40), NOON + timedelta(minutes=160))


def mixture() -> list[Event]:
    """Events of every conversation, type and vendor, in no order of time, some at the same."""
    kinds = itertools.cycle(itertools.product(CONVERSATIONS, TYPES, VENDORS))
    return [
        event(
            f"{n}",
            conversation=kind[0],
            event_type=kind[1],
            vendor=kind[2],
            time=(NOON + timedelta(minutes=n * 37 % 200)).isoformat(),
        )
        for n, kind in zip(range(400), kinds, strict=False)
    ]


def queries() -> Iterator[Query]:
    """Every combination of what the command line allows."""
    everything = itertools.product(
        (None, "c2", "none"), (None, "b"), (None, "w"), MOMENTS, MOMENTS, (1, 7, ALL)
    )
    for conversation, event_type, vendor, since, until, limit in everything:
        if not (since and until) or since < until:
            yield Query(
                conversation=conversation,
                type=event_type,
                vendor=vendor,
                since=since,
                until=until,
                limit=limit,
            )


def expected(events: list[Event], query: Query) -> list[Archived]:
    """Find events the slow way."""

    def is_wanted(candidate: Event) -> bool:
        assert candidate.occurred_at
        return (
            query.conversation in (None, candidate.conversation_id)
            and query.type in (None, candidate.type)
            and query.vendor in (None, candidate.vendor)
            and (query.since is None or query.since <= candidate.occurred_at)
            and (query.until is None or candidate.occurred_at < query.until)
        )

    in_order = sorted(filter(is_wanted, events), key=lambda each: each.occurred_at or NOON)
    return archived(*in_order[-query.limit :])


async def test_every_search_finds_what_it_should_in_order(archive: Archive) -> None:
    events = mixture()
    await archive.append(events)

    for query in queries():
        assert list(archive.find(query)) == expected(events, query), query


FILL = """
INSERT INTO archive
    (seq, id, type, vendor, source, conversation_id, occurred_at, routing_key, body)
SELECT n, 'e' || n, chr(97 + n % 10), chr(119 + n % 20), 's', 'c' || n % 2000,
    timestamptz '2026-01-31T12:00Z' + n * interval '1 second', 'k', ''
FROM generate_series(1, 50000) n
"""
ONLY_WHAT_IS_WANTED = {
    *("Limit", "Index Scan", "Index Only Scan"),
    *("Sort", "Bitmap Heap Scan", "Bitmap Index Scan"),  # of a few rows
}


async def test_sqlite_reads_no_more_than_an_index_points_to(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    async with opened_archive(f"sqlite:{path}"):
        pass

    with closing(sqlite3.connect(path)) as db:
        for query in queries():
            wanted = _search(query)
            for statement in (wanted.first, wanted.events):
                explain = f"EXPLAIN QUERY PLAN {statement}"
                (step,) = db.execute(explain, [0] * statement.count("?"))  # no other: no sorting

                plan = step[3].replace("COVERING ", "")
                assert plan.startswith(f"SEARCH archive USING INDEX {_index(query)} ("), query
                assert "occurred_at>?" in plan
                assert ("occurred_at<?" in plan) is bool(query.until)


async def test_postgresql_reads_no_more_than_an_index_points_to(postgres_url: str) -> None:
    async with opened_archive(postgres_url):
        pass

    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute(FILL)
        db.execute("ANALYZE archive")
        for query in queries():
            wanted = search(query, mark="%s")
            for statement in (wanted.first, wanted.events):
                parameters = [*wanted.conditions, *wanted.start, query.limit]
                row = db.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone()
                assert row

                nodes = list(nodes_of(row[0][0]["Plan"]))
                assert {node["Node Type"] for node in nodes} <= ONLY_WHAT_IS_WANTED, query
                indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
                assert indexes
                if query.conversation:
                    assert indexes == {"archive_by_conversation"}, query


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes_of(part)
