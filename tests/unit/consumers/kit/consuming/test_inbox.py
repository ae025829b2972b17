"""What is acknowledged is what was settled: all of it, once, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame

from consumers.kit.consuming.acknowledgements import Acknowledgements

CHANNEL = 3


def acks_in(data: bytes) -> list[tuple[int, bool]]:
    """Read frames as the broker does: delivery tags, and whether all before are meant, too."""
    acks = []
    while data:
        size, channel, ack = frame.unmarshal(data)
        assert isinstance(ack, commands.Basic.Ack)
        assert channel == CHANNEL
        acks.append((ack.delivery_tag, ack.multiple))
        data = data[size:]
    return acks


class Broker:
    """What a broker has delivered and not seen acknowledged. It closes the channel over more."""

    def __init__(self) -> None:
        self.unacknowledged: set[int] = set()
        self.acknowledged: list[int] = []

    def read(self, data: bytes) -> None:
        for tag, is_multiple in acks_in(data):
            assert tag in self.unacknowledged
            tags = {it for it in self.unacknowledged if it <= tag} if is_multiple else {tag}
            self.unacknowledged -= tags
            self.acknowledged += tags


def delivered(*tags: int) -> Acknowledgements:
    found = Acknowledgements(CHANNEL)
    for tag in tags:
        found.delivered(tag)
    return found


@pytest.mark.parametrize(
    ("settled", "acks"),
    [
        ([], []),
        ([1], [(1, True)]),
        ([2], [(2, False)]),
        ([1, 2, 3], [(3, True)]),
        ([3, 1, 2], [(3, True)]),
        ([5, 4, 3, 2, 1], [(5, True)]),
        ([1, 2, 4], [(2, True), (4, False)]),
        ([5, 3], [(3, False), (5, False)]),
        ([1, 1], [(1, True)]),
        ([9], []),
        ([0], []),
    ],
)
def test_what_is_settled_is_told_in_few_frames(
    settled: list[int], acks: list[tuple[int, bool]]
) -> None:
    found = delivered(1, 2, 3, 4, 5)

    for tag in settled:
        found.settle(tag)

    assert acks_in(found.frames()) == acks
    assert found.frames() == b""


def test_what_is_between_settled_ones_waits_and_is_told_with_them() -> None:
    found = delivered(1, 2, 3, 4)

    told = []
    for tag in (3, 1, 2, 4):
        found.settle(tag)
        told += acks_in(found.frames())

    assert told == [(3, False), (1, True), (2, True), (4, True)]


def test_a_delivery_is_acknowledged_once() -> None:
    found = delivered(1, 2)

    found.settle(2)
    first = acks_in(found.frames())
    found.settle(2)

    assert (first, found.frames()) == ([(2, False)], b"")


def test_in_hand_is_what_is_not_settled_told_or_not() -> None:
    found = delivered(1, 2, 3)

    counted = [found.in_hand]
    for tag in (2, 2, 7, 1):
        found.settle(tag)
        counted.append(found.in_hand)
    found.frames()

    assert [*counted, found.in_hand] == [3, 2, 2, 2, 1, 1]


def test_a_tag_may_be_of_eight_bytes() -> None:
    found = delivered(2**63 - 2, 2**63 - 1)

    found.settle(2**63 - 1)

    assert acks_in(found.frames()) == [(2**63 - 1, False)]


@given(data=st.data())
def test_whatever_the_order_the_broker_hears_of_all_that_was_settled_and_nothing_else(
    data: st.DataObject,
) -> None:
    broker, found = Broker(), Acknowledgements(CHANNEL)
    settled: set[int] = set()
    last = 0
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["deliver", "deliver", "settle", "settle", "tell"])):
            case "deliver":
                last += 1
                broker.unacknowledged.add(last)
                found.delivered(last)
            case "settle" if in_hand := sorted(broker.unacknowledged - settled):
                tag = data.draw(st.sampled_from(in_hand))
                found.settle(tag)
                settled.add(tag)
            case "tell":
                broker.read(found.frames())
                assert set(broker.acknowledged) == settled
        assert found.in_hand == last - len(settled)

    broker.read(found.frames())

    assert sorted(broker.acknowledged) == sorted(settled)
    assert broker.unacknowledged == set(range(1, last + 1)) - settled
