"""What becomes of a message: every kind of error, at every attempt, under every schedule."""

import asyncio
import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit import errors
from consumers.kit.consuming.decision import Dead, Decision, Done, Retry, Wait, decide, described
from consumers.kit.errors import NotAnEvent, Reject, Unavailable
from relay.errors import RelayError
from tests.support.rows import for_each_row

DELAYS = [1, 10, 60]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@for_each_row(
    ("error", "attempt", "delays", "decision"),
    [
        (None, 1, DELAYS, Done()),
        (None, 9, [], Done()),
        (ValueError("no"), 1, DELAYS, Retry(1, 2)),
        (ValueError("no"), 2, DELAYS, Retry(10, 3)),
        (ValueError("no"), 3, DELAYS, Retry(60, 4)),
        (ValueError("no"), 4, DELAYS, Dead("ValueError: no")),
        (ValueError("no"), 5, DELAYS, Dead("ValueError: no")),
        (ValueError("no"), 1_000_000, DELAYS, Dead("ValueError: no")),
        (ValueError("no"), 1, [], Dead("ValueError: no")),
        (TimeoutError("it took longer than 60 s"), 1, [5], Retry(5, 2)),
        (asyncio.CancelledError(), 1, [], Dead("CancelledError")),
        (RelayError("odd"), 1, DELAYS, Retry(1, 2)),
        (Reject("no such customer"), 1, DELAYS, Dead("rejected: no such customer")),
        (Reject("no such customer"), 4, [], Dead("rejected: no such customer")),
        (NotAnEvent("it is not JSON"), 1, DELAYS, Dead("no event: it is not JSON")),
        (Reject("two\nlines \ud83d"), 1, [], Dead("rejected: two lines ?")),
        (Unavailable("the CRM is down"), 1, DELAYS, Wait(1, "the CRM is down")),
        (Unavailable("the CRM is down"), 9, [], Wait(1, "the CRM is down")),
        (Unavailable("later", retry_after_s=7.5), 1, DELAYS, Wait(7.5, "later")),
    ],
)
def test_the_error_the_attempt_and_the_delays_decide(
    error: BaseException | None, attempt: int, delays: list[float], decision: Decision
) -> None:
    assert decide(error, attempt=attempt, retry_delays_s=delays) == decision


def test_every_attempt_is_made_once_and_then_it_is_given_up() -> None:
    delays, attempt, waited = [3.0, 1.0, 2.0], 1, []

    while isinstance(
        decision := decide(OSError("x"), attempt=attempt, retry_delays_s=delays), Retry
    ):
        assert decision.attempt == attempt + 1
        waited.append(decision.delay_s)
        attempt = decision.attempt

    assert waited == delays
    assert (attempt, decision) == (4, Dead("OSError: x"))


def test_a_subclass_is_what_its_class_is() -> None:
    class Gone(Reject):
        pass

    class Paused(Unavailable):
        pass

    assert decide(Gone("gone"), attempt=1, retry_delays_s=DELAYS) == Dead("rejected: gone")
    assert decide(Paused("paused"), attempt=1, retry_delays_s=DELAYS) == Wait(1, "paused")


def wait_s(retry_after_s: float | None, down_for_s: float) -> float:
    error = Unavailable("down", retry_after_s=retry_after_s)
    decision = decide(error, attempt=1, retry_delays_s=DELAYS, down_for_s=down_for_s)
    assert isinstance(decision, Wait)
    return decision.after_s


def test_a_wait_grows_up_to_a_minute() -> None:
    waits = [wait_s(None, down_for_s) for down_for_s in (0, 1, 2, 4, 8, 16, 32, 64, 10**9)]

    assert waits == [1, 1, 2, 4, 8, 16, 32, 60, 60]


@given(
    retry_after_s=st.none() | st.floats(allow_nan=False) | st.sampled_from([0, -1, math.inf]),
    down_for_s=st.floats(0, 10**9),
)
def test_a_wait_is_never_without_end_nor_without_a_pause(
    retry_after_s: float | None, down_for_s: float
) -> None:
    assert 0 < wait_s(retry_after_s, down_for_s) <= 240


@pytest.mark.parametrize("retry_after_s", [0, -5])
def test_to_try_again_at_once_is_no_advice(retry_after_s: float) -> None:
    waits = [wait_s(retry_after_s, down_for_s) for down_for_s in (0, 2, 4)]

    assert waits == [1, 2, 4]


@for_each_row(
    ("error", "text"),
    [
        (ValueError("no such customer"), "ValueError: no such customer"),
        (ValueError(), "ValueError"),
        (ValueError(" \n"), "ValueError"),
        (KeyError("id"), "KeyError: 'id'"),
        (RuntimeError(" two\r\n  lines\tof text "), "RuntimeError: two lines of text"),
        (TimeoutError("it took longer than 60 s"), "TimeoutError: it took longer than 60 s"),
        (ValueError("half a \ud83d"), "ValueError: half a ?"),
        (Unspeakable(), "Unspeakable"),
    ],
)
def test_an_error_is_described_on_one_line(error: Exception, text: str) -> None:
    assert described(error) == text


def test_an_error_without_a_text_of_its_own_is_decided_upon_all_the_same() -> None:
    assert decide(Unspeakable(), attempt=1, retry_delays_s=[]) == Dead("Unspeakable")


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = re.findall(r"^[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)

    classes = {
        name: each
        for name, each in vars(errors).items()
        if isinstance(each, type) and each.__module__ == errors.__name__
    }
    assert set(drawn) == set(classes)
    assert {classe.__base__ for classe in classes.values()} == {RelayError}


def test_none_of_the_kits_errors_is_another_of_them() -> None:
    """Which of them is raised decides; so each says one thing only."""
    for one, other in pairwise([Reject, Unavailable, NotAnEvent, Reject]):
        assert not issubclass(one, other)
