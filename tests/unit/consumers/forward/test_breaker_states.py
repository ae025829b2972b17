"""When an endpoint is paused, and how it comes back. Time is a number."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumers.forward.breaker import BreakerState, CircuitBreaker

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def new_breaker(*, chance: float = 0, longest_pause_s: float = 60) -> CircuitBreaker:
    """One that opens after three failures, first for 5 s."""
    return CircuitBreaker(
        failures_to_open=3,
        first_pause_s=5,
        longest_pause_s=longest_pause_s,
        chance=lambda: chance,
    )


def admitted(breaker: CircuitBreaker, now: float) -> int:
    call = breaker.admit(now)
    assert call is not None
    return call


def opened(breaker: CircuitBreaker, now: float = 0) -> CircuitBreaker:
    for _ in range(3):
        breaker.failed(admitted(breaker, now), now)
    assert breaker.state is OPEN
    return breaker


def test_it_lets_everything_through_at_first() -> None:
    breaker = new_breaker()

    calls = [breaker.admit(0) for _ in range(100)]

    assert None not in calls
    assert breaker.wait_s(0) == 0


def test_failures_in_a_row_open_it() -> None:
    breaker = new_breaker()

    for _ in range(2):
        breaker.failed(admitted(breaker, 0), 0)
        assert breaker.state is CLOSED
    breaker.failed(admitted(breaker, 0), 0)

    assert breaker.state is OPEN
    assert breaker.admit(4.9) is None
    assert breaker.wait_s(1) == 4


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = new_breaker()

    for _ in range(10):
        breaker.failed(admitted(breaker, 0), 0)
        breaker.failed(admitted(breaker, 0), 0)
        breaker.succeeded(admitted(breaker, 0))

    assert breaker.state is CLOSED


def test_different_events_that_are_refused_in_a_row_open_it() -> None:
    breaker = new_breaker()

    for event_id in ("a", "b", "c"):
        assert breaker.state is CLOSED
        breaker.refused(admitted(breaker, 0), 0, event_id)

    assert (breaker.state, breaker.wait_s(0)) == (OPEN, 5)


def test_one_event_that_is_always_refused_counts_once() -> None:
    breaker = new_breaker()

    for _ in range(100):
        breaker.refused(admitted(breaker, 0), 0, "a")
    breaker.failed(admitted(breaker, 0), 0)

    assert breaker.state is CLOSED
    breaker.refused(admitted(breaker, 0), 0, "b")
    assert breaker.state is OPEN


def test_between_refused_events_a_success_starts_the_count_again() -> None:
    breaker = new_breaker()

    for _ in range(10):
        breaker.refused(admitted(breaker, 0), 0, "a")
        breaker.refused(admitted(breaker, 0), 0, "b")
        breaker.succeeded(admitted(breaker, 0))

    assert breaker.state is CLOSED


def test_a_probe_that_is_refused_has_failed() -> None:
    breaker = new_breaker()
    for event_id in ("a", "b", "c"):
        breaker.refused(admitted(breaker, 0), 0, event_id)

    breaker.refused(admitted(breaker, 5), 5, "a")

    assert (breaker.state, breaker.wait_s(5)) == (OPEN, 10)


def test_after_the_pause_a_single_call_finds_out() -> None:
    breaker = opened(new_breaker())

    calls = [breaker.admit(5) for _ in range(10)]

    assert [call is not None for call in calls] == [True] + [False] * 9
    assert breaker.state is HALF_OPEN
    assert breaker.wait_s(5) == 1
    assert breaker.admit(1_000_000) is None


def test_a_probe_that_succeeds_closes_it_and_all_is_forgotten() -> None:
    breaker = opened(new_breaker())
    breaker.failed(admitted(breaker, 5), 5)
    assert breaker.wait_s(5) == 10

    breaker.succeeded(admitted(breaker, 15))

    assert breaker.state is CLOSED
    assert opened(breaker, 20).wait_s(20) == 5


def test_each_probe_that_fails_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now, pauses = opened(new_breaker()), 0.0, []

    for _ in range(7):
        pauses.append(breaker.wait_s(now))
        now += pauses[-1]
        breaker.failed(admitted(breaker, now), now)

    assert pauses == [5, 10, 20, 40, 60, 60, 60]


def test_chance_takes_up_to_half_of_a_pause_away() -> None:
    assert opened(new_breaker(chance=1)).wait_s(0) == 2.5
    assert opened(new_breaker(chance=0.5)).wait_s(0) == 3.75


def test_the_bound_holds_for_the_first_pause_as_well() -> None:
    assert opened(new_breaker(longest_pause_s=1)).wait_s(0) == 1


@pytest.mark.parametrize(("asked_s", "wait_s"), [(1, 1), (30, 30), (3600, 60), (math.inf, 60)])
def test_who_says_when_to_come_back_is_taken_at_its_word_within_the_bound(
    asked_s: float, wait_s: float
) -> None:
    breaker = new_breaker(chance=1)

    breaker.failed(admitted(breaker, 0), 0, pause_s=asked_s)

    assert breaker.state is OPEN
    assert breaker.wait_s(0) == wait_s


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    breaker = new_breaker()
    before = [admitted(breaker, 0) for _ in range(5)]
    opened(breaker)

    breaker.succeeded(before[0])
    breaker.failed(before[1], 3)
    breaker.failed(before[2], 3, pause_s=60)
    breaker.refused(before[2], 3, "a")
    breaker.abandoned(before[3], 3)
    assert (breaker.state, breaker.wait_s(0)) == (OPEN, 5)

    probe = admitted(breaker, 5)
    breaker.failed(before[4], 5)
    breaker.succeeded(before[4])
    assert breaker.state is HALF_OPEN
    breaker.succeeded(probe)
    assert breaker.state is CLOSED


def test_after_a_probe_that_was_given_up_the_next_one_may_be_made_at_once() -> None:
    breaker = opened(new_breaker())

    breaker.abandoned(admitted(breaker, 5), 6)

    assert breaker.wait_s(6) == 0
    assert breaker.admit(6) is not None


def test_a_call_that_was_given_up_says_nothing_about_what_is_up() -> None:
    breaker = new_breaker()

    for _ in range(10):
        breaker.abandoned(admitted(breaker, 0), 0)

    assert breaker.state is CLOSED


class Anything(RuleBasedStateMachine):
    """Calls begin and end in any order, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.under_way: list[int] = []
        self.probes: set[int] = set()
        self.breaker = new_breaker(chance=0.5)

    @rule(elapsed_s=st.integers(0, 100))
    def time_passes(self, elapsed_s: int) -> None:
        self.now += elapsed_s

    @rule()
    def a_call_begins(self) -> None:
        was, wait_s = self.breaker.state, self.breaker.wait_s(self.now)

        call = self.breaker.admit(self.now)

        assert (call is None) == (was is HALF_OPEN or wait_s > 0)
        if call is not None:
            self.under_way.append(call)
            if was is OPEN:
                self.probes.add(call)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), pause_s=st.none() | st.integers(0, 100) | st.just(math.inf))
    def a_call_fails(self, data: st.DataObject, pause_s: float | None) -> None:
        was, call = self.breaker.state, self._ends(data)

        self.breaker.failed(call, self.now, pause_s=pause_s)

        if was is not CLOSED:
            assert self.breaker.state is (OPEN if self._was_probe(call, was) else was)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), event_id=st.sampled_from("abcd"))
    def a_call_is_refused(self, data: st.DataObject, event_id: str) -> None:
        was, call = self.breaker.state, self._ends(data)

        self.breaker.refused(call, self.now, event_id)

        if was is not CLOSED:
            assert self.breaker.state is (OPEN if self._was_probe(call, was) else was)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_call_succeeds(self, data: st.DataObject) -> None:
        was, call = self.breaker.state, self._ends(data)

        self.breaker.succeeded(call)

        assert self.breaker.state is (CLOSED if self._was_probe(call, was) else was)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def a_call_is_given_up(self, data: st.DataObject) -> None:
        was, call = self.breaker.state, self._ends(data)

        self.breaker.abandoned(call, self.now)

        assert self.breaker.state is (OPEN if self._was_probe(call, was) else was)

    @invariant()
    def every_wait_has_a_bound(self) -> None:
        assert 0 <= self.breaker.wait_s(self.now) <= 60

    @invariant()
    def a_probe_is_under_way_whenever_one_is_waited_for(self) -> None:
        assert (self.breaker.state is HALF_OPEN) == bool(self.probes & set(self.under_way))

    def _ends(self, data: st.DataObject) -> int:
        call = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(call)
        return call

    def _was_probe(self, call: int, was: BreakerState) -> bool:
        return was is HALF_OPEN and call in self.probes


Anything.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
test_whatever_happens_it_never_hangs_and_never_makes_two_probes = Anything.TestCase
