"""What is taken for one commit: bounded, large deliveries apart and by turns, the rest in order."""

from collections.abc import Sequence

import pytest

from relay.errors import NotDurable
from relay.events.message import Message
from relay.outbox.write_queue import MAX_COMMIT_BYTES, Append, WriteQueue

MIB = 1024 * 1024


class Delivery:
    def __init__(self, name: str) -> None:
        self.messages = [
            Message(id=name, routing_key="a.b", properties=b"", body=b"", received_at=0)
        ]
        self.errors: list[Exception | None] = []

    def complete(self, error: Exception | None) -> None:
        self.errors.append(error)


def append(name: str, size_bytes: int = 2000, count: int = 1) -> Append:
    deliveries = [Delivery(name) for _ in range(count)]
    messages = [message for delivery in deliveries for message in delivery.messages]
    return Append(messages, size_bytes, list(deliveries), queued_at=0.0)


def taken(queue: WriteQueue) -> list[list[str]]:
    """Return the names of all that is queued, by commit."""
    commits = []
    while queue:
        commits.append([row.message.id for row in queue.take().rows])
    return commits


def filled(appends: Sequence[Append]) -> WriteQueue:
    queue = WriteQueue(1)
    for each in appends:
        queue.add(each)
    return queue


@pytest.mark.parametrize(
    ("sizes", "commits"),
    [
        ([2000] * 5, [5]),
        ([MAX_COMMIT_BYTES // 8] * 20, [8, 8, 4]),
        ([MAX_COMMIT_BYTES // 4] * 9, [4, 4, 1]),
        ([MAX_COMMIT_BYTES] * 3, [1, 1, 1]),
        ([9 * MIB, 4 * MIB, 700_000, 300_000, 300_000], [1, 1, 2, 1]),
    ],
)
def test_a_commit_is_bounded_in_bytes_and_takes_at_least_one(
    sizes: list[int], commits: list[int]
) -> None:
    queue = filled([append(f"{n}", size) for n, size in enumerate(sizes)])

    names = taken(queue)

    assert [len(each) for each in names] == commits
    assert [name for each in names for name in each] == [f"{n}" for n in range(len(sizes))]


@pytest.mark.parametrize("large", [300_000, 5 * MIB, 40 * MIB])
def test_a_small_delivery_does_not_share_the_commit_of_a_large_one(large: int) -> None:
    queue = filled(
        [append("L1", large), append("s1"), append("L2", large), append("s2"), append("s3")]
    )

    assert queue.take().rows[0].message.id == "s1"
    queue.add(append("s4"))

    first, *others = taken(queue)
    assert first[0] == "L1"
    assert ["s4"] in others
    assert all({name[0] for name in names} in ({"L"}, {"s"}) for names in [first, *others])


def test_neither_kind_waits_for_more_than_one_commit_of_the_other() -> None:
    queue = filled([append(f"L{n}", 2 * MIB) for n in range(3)])
    order = []

    for n in range(6):  # small ones never cease to come
        queue.add(append(f"s{n}"))
        order += [row.message.id[0] for row in queue.take().rows]

    assert "LL" not in "".join(order)
    assert "L" in order[:3]
    assert order.count("L") == 3


def test_many_small_deliveries_that_came_together_are_no_large_one() -> None:
    queue = filled([append("many", 3 * MIB, count=1000), append("later")])

    assert {row.message.id for row in queue.take().rows} == {"many"}
    assert [row.message.id for row in queue.take().rows] == ["later"]


def test_rows_are_numbered_as_they_are_stored_without_gaps() -> None:
    queue = WriteQueue(7)
    for each in (append("L", 5 * MIB), append("a"), append("b")):
        queue.add(each)

    rows = [row for _ in range(2) for row in queue.take().rows]
    (parked,) = queue.numbered(Delivery("parked").messages)

    assert [(row.seq, row.message.id) for row in rows] == [(7, "a"), (8, "b"), (9, "L")]
    assert parked.seq == 10


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_whoever_waits_is_refused_wherever_it_waits(commits: int) -> None:
    large, small = append("L", 5 * MIB), append("s")
    deliveries = [*large.deliveries, *small.deliveries]
    queue = filled([large, small])
    done = [delivery for _ in range(commits - 1) for delivery in queue.take().appends]
    if commits:
        queue.take()
    error = NotDurable("it hangs")

    queue.refuse(error)

    committed = [delivery for each in done for delivery in each.deliveries]
    for delivery in deliveries:
        assert isinstance(delivery, Delivery)
        assert delivery.errors == ([] if delivery in committed else [error])
    assert bool(queue) is (commits < 2)


def test_the_oldest_is_found_in_either_kind() -> None:
    queue = WriteQueue(1)
    assert queue.oldest() is None

    queue.add(append("s")._replace(queued_at=5.0))
    queue.add(append("L", 5 * MIB)._replace(queued_at=3.0))

    assert queue.oldest() == 3.0
