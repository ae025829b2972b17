"""The checker itself: it must see each kind of violation, and none where there is none."""

from typing import Any

import pytest

from tests.faults.harness import deliveries, invariant
from tests.faults.harness.journal import Arrival, Delivery, Kept, Window


def delivery(number: int, *ids: str, **changes: Any) -> Delivery:
    """A good delivery that was sent at its number and answered half a second later."""
    good = Delivery(number, "a", "good", number, number + 0.5, 200, list(ids) or [f"{number}"])
    return good._replace(**changes)


def arrival(number: int, **changes: Any) -> Arrival:
    return Arrival("events", f"{number}", number, 0, number + 0.7)._replace(**changes)


def test_a_run_without_loss_holds_and_is_counted() -> None:
    verdict = invariant.check(
        [
            delivery(1, "1", "1b"),
            delivery(2, kind="odd"),
            delivery(3),
            delivery(4, status=0, ids=[]),
            delivery(5, kind="forged", status=401, ids=[]),
        ],
        [
            arrival(1),
            arrival(1, id="1b", position=1),
            arrival(2, queue="quarantine"),
            arrival(1, at=9),
            arrival(4),
        ],
        [Kept("3", 3, 0)],
        [],
    )

    assert verdict.holds
    assert (verdict.sent, verdict.acknowledged, verdict.duplicates) == (5, 4, 1)
    assert (verdict.delivered, verdict.quarantined, verdict.waiting) == (3, 1, 1)
    assert verdict.answers == {0: 1, 200: 3, 401: 1}


def test_what_is_ignored_is_neither_lost_nor_stored() -> None:
    verdict = invariant.check(
        [delivery(1, ignored=["1x"]), delivery(2, ids=[], ignored=["2"])], [arrival(1)], [], []
    )

    assert verdict.holds
    assert (verdict.acknowledged, verdict.delivered, verdict.ignored) == (3, 1, 2)


def test_what_is_said_to_be_ignored_but_stored_is_a_violation() -> None:
    kept = [Kept("2x", 2, 1)]

    verdict = invariant.check(
        [delivery(1, ids=[], ignored=["1"]), delivery(2, ignored=["2x"])],
        [arrival(1), arrival(2)],
        kept,
        [],
    )

    assert verdict.ignored_but_stored == ["1", "2x"]
    assert not verdict.holds


def test_an_acknowledged_event_that_is_nowhere_is_lost() -> None:
    verdict = invariant.check([delivery(1, "1", "1b"), delivery(2)], [arrival(1)], [], [])

    assert verdict.lost == ["1b", "2"]
    assert not verdict.holds


@pytest.mark.parametrize(("kind", "status"), [("forged", 401), ("huge", 413)])
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_refused_delivery_may_be_nowhere(kind: Any, status: int, *, is_kept: bool) -> None:
    refused = delivery(1, kind=kind, status=status, ids=[])
    arrivals = [] if is_kept else [arrival(1)]
    kept = [Kept("1", 1, 0)] if is_kept else []

    assert invariant.check([refused], arrivals, kept, []).refused_but_stored == [1]


def test_a_duplicate_under_another_id_is_a_conflict() -> None:
    verdict = invariant.check([delivery(1)], [arrival(1), arrival(1, id="x")], [], [])

    assert verdict.id_conflicts == ["1", "x"]


def test_two_events_of_one_id_are_a_conflict() -> None:
    verdict = invariant.check([delivery(1), delivery(2, "1")], [arrival(1)], [], [])

    assert verdict.id_conflicts == ["1"]


def test_a_resend_answered_with_another_id_is_a_conflict() -> None:
    verdict = invariant.check([delivery(1), delivery(1, "x")], [arrival(1), arrival(1)], [], [])

    assert verdict.id_conflicts == ["1", "x"]


def test_events_of_a_conversation_that_change_places_are_out_of_order() -> None:
    sent = [delivery(1), delivery(2), delivery(3, conversation="b")]

    verdict = invariant.check(sent, [arrival(3), arrival(2), arrival(1)], [], [])

    assert verdict.out_of_order == [(2, 1)]


def test_events_of_one_delivery_that_change_places_are_out_of_order() -> None:
    later = arrival(1, id="1b", position=1)

    verdict = invariant.check([delivery(1, "1", "1b")], [later, arrival(1)], [], [])

    assert verdict.out_of_order == [(1, 1)]


@pytest.mark.parametrize(
    "window", [Window("x", 0, 1.1), Window("x", 2.5, 3), Window("x", 1.1, 1.2)]
)
def test_an_event_that_a_fault_touched_may_come_late(window: Window) -> None:
    arrivals = [arrival(2), arrival(1, at=2.8)]

    assert invariant.check([delivery(1), delivery(2)], arrivals, [], [window]).holds


def test_a_fault_elsewhen_excuses_nothing() -> None:
    windows = [Window("x", 0, 0.9), Window("x", 3, 4)]
    arrivals = [arrival(2), arrival(1, at=2.8)]

    verdict = invariant.check([delivery(1), delivery(2)], arrivals, [], windows)

    assert verdict.out_of_order == [(2, 1)]


def test_a_duplicate_may_come_late() -> None:
    arrivals = [arrival(1), arrival(2), arrival(1, at=9)]

    assert invariant.check([delivery(1), delivery(2)], arrivals, [], []).holds


@pytest.mark.parametrize(
    ("kind", "status"),
    [("good", 401), ("good", 413), ("odd", 401), ("forged", 200), ("huge", 200), ("forged", 413)],
)
def test_a_wrong_answer_is_seen(kind: Any, status: int) -> None:
    verdict = invariant.check([delivery(1, kind=kind, status=status)], [arrival(1)], [], [])

    assert verdict.wrong_status == [1]


@pytest.mark.parametrize("status", [0, 502, 503])
def test_senders_that_must_notice_nothing_are_answered(status: int) -> None:
    sent = [delivery(1), delivery(2, status=status, ids=[]), delivery(3, kind="huge", status=0)]

    verdict = invariant.check(sent, [arrival(1), arrival(3)], [], [], must_accept_all=True)

    assert verdict.failed == [2]
    assert not verdict.holds
    assert invariant.check(sent, [arrival(1), arrival(3)], [], []).failed == []


@pytest.mark.parametrize(
    ("sent", "arrivals", "held_up"),
    [
        pytest.param([delivery(1)], [arrival(1, at=3.5)], [], id="at the limit"),
        pytest.param([delivery(1)], [arrival(1, at=3.6)], [1], id="delivered late"),
        pytest.param([delivery(1, answered_at=3.1)], [arrival(1, at=3.2)], [1], id="answered late"),
        pytest.param(
            [delivery(1, kind="poisoned", answered_at=9)], [arrival(1, at=99)], [], id="poisoned"
        ),
        pytest.param(
            [delivery(1, "1", "1b", kind="poisoned")],
            [arrival(1, at=99), arrival(1, id="1b", position=1, at=4)],
            [1],
            id="innocent beside a poisoned one",
        ),
        pytest.param([delivery(1), delivery(1)], [arrival(1), arrival(1, at=9)], [], id="a copy"),
        pytest.param([delivery(1, kind="odd")], [arrival(1, at=9)], [1], id="quarantined late"),
        pytest.param([delivery(1, status=503, ids=[], answered_at=9)], [], [1], id="refused late"),
    ],
)
def test_innocent_events_that_wait_beyond_the_limit_are_held_up(
    sent: list[Delivery], arrivals: list[Arrival], held_up: list[int]
) -> None:
    verdict = invariant.check(sent, arrivals, [], [], wait_limit_s=2)

    assert verdict.held_up == held_up
    assert verdict.holds == (not held_up)
    assert invariant.check(sent, arrivals, [], []).held_up == []


def test_the_longest_wait_is_that_of_an_innocent_event() -> None:
    sent = [delivery(1), delivery(2), delivery(3, kind="poisoned")]
    arrivals = [arrival(1, at=2.25), arrival(2, at=2.75), arrival(3, at=50)]

    assert invariant.check(sent, arrivals, [], [], wait_limit_s=1).longest_wait_s == 0.75
    assert invariant.check(sent, arrivals, [], []).longest_wait_s is None


def test_a_poisoned_event_comes_late_and_those_beside_it_in_order() -> None:
    sent = [delivery(1, "1", "1b", kind="poisoned"), delivery(2)]
    late = arrival(1, at=9)
    beside = arrival(1, id="1b", position=1, at=9)

    assert invariant.check(sent, [arrival(2), late], [], []).out_of_order == []
    assert invariant.check(sent, [arrival(2), beside], [], []).out_of_order == [(2, 1)]


def test_senders_of_poison_may_be_refused_where_that_is_allowed() -> None:
    sent = [delivery(1, kind="poisoned", status=503, ids=[]), delivery(2, status=503, ids=[])]

    strict = invariant.check(sent, [], [], [], must_accept_all=True)
    lenient = invariant.check(sent, [], [], [], must_accept_all=True, may_refuse_poison=True)

    assert (strict.failed, lenient.failed) == ([1, 2], [2])


def test_the_longest_outage_is_the_longest_time_without_an_acknowledgement() -> None:
    sent = [delivery(1), delivery(2, status=503), delivery(3, status=0), delivery(5), delivery(6)]

    assert invariant.check(sent, [], [], []).longest_outage_s == 4
    assert invariant.check([delivery(1, status=0)], [], [], []).longest_outage_s == 0.5
    assert invariant.check([], [], [], []).longest_outage_s == 0


def test_a_delivery_follows_from_seed_and_number() -> None:
    planned = [deliveries.plan(7, n, sender=0, conversations=4, secret="s") for n in range(3000)]
    again = [deliveries.plan(7, n, sender=0, conversations=4, secret="s") for n in range(3000)]
    other = [deliveries.plan(8, n, sender=0, conversations=4, secret="s") for n in range(3000)]

    poisoned = [
        deliveries.plan(7, n, sender=0, conversations=4, secret="s", poison="large")
        for n in range(3000)
    ]

    assert planned == again
    assert planned != other
    assert {delivery.kind for delivery in planned} == {"good", "odd", "forged", "huge"}
    changed = [pair[1].kind for pair in zip(planned, poisoned, strict=True) if pair[0] != pair[1]]
    assert set(changed) == {"poisoned"}
    assert {delivery.times for delivery in planned} == {1, 2}
    counts = {delivery.request.count(b"fault-") for delivery in planned if delivery.kind == "good"}
    assert {1, 2, 3, 4} < counts
    assert max(counts) > 50
    assert all(deliveries.mark_in(delivery.request) == (delivery.number, 0) for delivery in planned)
