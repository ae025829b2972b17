"""What is taken for one commit: bounded, large deliveries apart and by turns, the rest in order."""

from collections.abc import Sequence

import pytest

from relay.errors import NotDurable
from relay.events.message import Message
from relay.outbox import database
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


def of_many(count: int, body_bytes: int) -> Append:
    """Return a delivery of several messages, as large as it says."""
    delivery = Delivery("0")
    delivery.messages = [
        delivery.messages[0]._replace(id=f"{n}", body=b"b" * body_bytes) for n in range(count)
    ]
    size_bytes = sum(map(database.size, delivery.messages))
    return Append(delivery.messages, size_bytes, [delivery], queued_at=0.0)


@pytest.mark.parametrize(
    ("count", "body_bytes", "commits"),
    [(2, 500_000, 1), (10_000, 100, 11), (3, 5 * MIB, 3), (40, 100_000, 4), (1, 9 * MIB, 1)],
)
def test_a_delivery_of_many_messages_takes_several_commits_between_which_others_have_theirs(
    count: int, body_bytes: int, commits: int
) -> None:
    append_of_many = of_many(count, body_bytes)
    (delivery,) = append_of_many.deliveries
    assert isinstance(delivery, Delivery)
    queue = filled([append_of_many])
    size_bytes, names, taken_bytes = append_of_many.size_bytes, [], 0

    for n in range(commits):
        assert delivery.errors == []
        batch = queue.take()
        assert batch.size_bytes <= MAX_COMMIT_BYTES or len(batch.rows) == 1
        names += [row.message.id for row in batch.rows]
        taken_bytes += batch.size_bytes
        batch.complete(None)
        queue.add(append(f"s{n}"))
        assert [row.message.id for row in queue.take().rows] == [f"s{n}"]

    assert names == [f"{n}" for n in range(count)]
    assert taken_bytes == size_bytes
    assert delivery.errors == [None]
    assert not queue


@pytest.mark.parametrize("failing", [0, 1, 3])
@pytest.mark.parametrize("others", [[], ["s"], [*"abc"]])
def test_of_a_delivery_no_part_is_stored_after_one_that_can_not_be(
    failing: int, others: list[str]
) -> None:
    append_of_many, next_large = of_many(40, 100_000), append("L", 2 * MIB)
    (delivery,) = append_of_many.deliveries
    assert isinstance(delivery, Delivery)
    queue = filled([append_of_many, next_large])
    error, taken_bytes = NotDurable("full"), 0

    for n in range(failing + 1):
        batch = queue.take()
        if n == failing:
            batch = queue.drop_rest(batch)
        taken_bytes += batch.size_bytes
        batch.complete(error if n == failing else None)
    for name in others:
        queue.add(append(name))

    assert delivery.errors == [error]
    assert taken_bytes == append_of_many.size_bytes
    names = [name for each in taken(queue) for name in each]
    assert sorted(names) == sorted(["L", *others])


@pytest.mark.parametrize("queued", [[], ["a", "b"]])
def test_nothing_else_is_dropped_with_a_batch_that_can_not_be_stored(queued: list[str]) -> None:
    queue = filled([append(name) for name in queued])
    batch = queue.take()
    queue.add(append("L", 2 * MIB))

    assert queue.drop_rest(batch) == batch
    assert taken(queue) == [["L"]]


def test_a_delivery_is_refused_once_however_many_parts_wait() -> None:
    append_of_many = of_many(40, 100_000)
    (delivery,) = append_of_many.deliveries
    assert isinstance(delivery, Delivery)
    queue = filled([append_of_many])
    batch, error = queue.take(), NotDurable("it hangs")

    queue.refuse(error)
    batch.complete(None)
    while queue:
        queue.take().complete(None)

    assert delivery.errors == [error]
    assert queue.oldest() is None
