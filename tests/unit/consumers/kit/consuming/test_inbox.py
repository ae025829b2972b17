"""All that is done is acknowledged, once, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame

from consumers.kit.consuming.acknowledgements import Acknowledgements
from tests.support.rows import for_each_row

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
            tags = {each for each in self.unacknowledged if each <= tag} if is_multiple else {tag}
            self.unacknowledged -= tags
            self.acknowledged += tags


def in_hand_of(*tags: int) -> Acknowledgements:
    found = Acknowledgements(CHANNEL)
    for tag in tags:
        found.add(tag)
    return found


@for_each_row(
    ("done", "acks"),
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
def test_what_is_done_is_acknowledged_in_few_frames(
    done: list[int], acks: list[tuple[int, bool]]
) -> None:
    found = in_hand_of(1, 2, 3, 4, 5)

    for tag in done:
        found.ack(tag)

    assert acks_in(found.take_frames()) == acks
    assert found.take_frames() == b""


def test_what_is_between_done_ones_is_acknowledged_after_it_is_done() -> None:
    found = in_hand_of(1, 2, 3, 4)

    acks = []
    for tag in (3, 1, 2, 4):
        found.ack(tag)
        acks += acks_in(found.take_frames())

    assert acks == [(3, False), (1, True), (2, True), (4, True)]


def test_a_delivery_is_acknowledged_once() -> None:
    found = in_hand_of(1, 2)

    found.ack(2)
    first = acks_in(found.take_frames())
    found.ack(2)

    assert (first, found.take_frames()) == ([(2, False)], b"")


def test_in_hand_is_what_is_not_done_written_or_not() -> None:
    found = in_hand_of(1, 2, 3)

    counted = [found.in_hand]
    for tag in (2, 2, 7, 1):
        found.ack(tag)
        counted.append(found.in_hand)
    found.take_frames()

    assert [*counted, found.in_hand] == [3, 2, 2, 2, 1, 1]


def test_a_tag_may_be_of_eight_bytes() -> None:
    found = in_hand_of(2**63 - 2, 2**63 - 1)

    found.ack(2**63 - 1)

    assert acks_in(found.take_frames()) == [(2**63 - 1, False)]


@given(data=st.data())
def test_whatever_the_order_the_broker_learns_what_was_done_and_nothing_else(
    data: st.DataObject,
) -> None:
    broker, found = Broker(), Acknowledgements(CHANNEL)
    done: set[int] = set()
    last = 0
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["deliver", "deliver", "ack", "ack", "write"])):
            case "deliver":
                last += 1
                broker.unacknowledged.add(last)
                found.add(last)
            case "ack" if in_hand := sorted(broker.unacknowledged - done):
                tag = data.draw(st.sampled_from(in_hand))
                found.ack(tag)
                done.add(tag)
            case "write":
                broker.read(found.take_frames())
                assert set(broker.acknowledged) == done
        assert found.in_hand == last - len(done)

    broker.read(found.take_frames())

    assert sorted(broker.acknowledged) == sorted(done)
    assert broker.unacknowledged == set(range(1, last + 1)) - done
