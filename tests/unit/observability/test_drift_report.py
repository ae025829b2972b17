"""What several receivers saw, as one report."""

from relay.observability.drift_report import MAX_SHOWN, DriftRow, merged, report


def row(path: str, first: int, last: int, count: int = 1, event_type: str = "note") -> DriftRow:
    def at(hour: int) -> str:
        return f"2026-11-28T{hour:02}:00:00.000000Z"

    return DriftRow(
        vendor="v",
        type=event_type,
        path=path,
        first_seen=at(first),
        last_seen=at(last),
        count=count,
    )


def test_the_newest_fields_come_first() -> None:
    rows = [row("/a", 1, 9), row("/b", 3, 3), row("/c", 2, 8)]

    assert [each["path"] for each in report(rows)["fields"]] == ["/b", "/c", "/a"]


def test_only_so_many_are_shown() -> None:
    rows = [row(f"/{number}", 1, 1) for number in range(MAX_SHOWN + 1)]

    assert len(report(rows)["fields"]) == MAX_SHOWN


def test_what_several_saw_is_added_up() -> None:
    first = report([row("/a", 2, 3, count=5), row("/b", 1, 1)])
    second = report([row("/a", 1, 2, count=7), row("/a", 4, 4, event_type="other")])

    assert merged([first, second, report([])])["fields"] == [
        row("/a", 4, 4, event_type="other"),
        row("/b", 1, 1),
        row("/a", 1, 3, count=12),
    ]
