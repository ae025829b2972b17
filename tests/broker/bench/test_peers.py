"""The comparison in short, with the relays that need no program of others. Nothing is timed."""

from pathlib import Path

import pytest

from deploy.local.broker import PrivateBroker
from tests.bench.peers import outage, speed
from tests.bench.peers.outage import Outage
from tests.bench.peers.systems import CONFIRM, OBVIOUS, OUTBOX, System

OURS = (OUTBOX, CONFIRM, OBVIOUS)
BARE = System(name="bare", what="", guarantee="", plain="bare")
SHORT = Outage(rate=50, count=350, conversations=5, begins_s=5.0, lasts_s=1.0, quiet_s=1.0)


async def test_what_an_outage_does_to_each_relay_is_counted(
    own_broker: PrivateBroker, tmp_path: Path
) -> None:
    found = await outage.play(own_broker, tmp_path, OURS, SHORT)

    assert set(found) == {"outbox", "confirm", "obvious"}
    assert [each.sent for each in found.values()] == [350] * 3
    assert [each.lost for each in found.values()] == [0] * 3
    outbox = found["outbox"]
    assert (outbox.answered, outbox.out_of_order, outbox.statuses) == (350, 0, {"200": 350})
    assert outbox.twice < 350  # at least once: the last before the outage may come again
    for name, status in (("confirm", "503"), ("obvious", "500")):
        assert 0 < found[name].answered < 350
        assert found[name].statuses["200"] == found[name].answered
        assert status in found[name].statuses


async def test_the_figures_of_each_relay_are_there(broker_url: str, tmp_path: Path) -> None:
    found = await speed.measure(broker_url, tmp_path, OURS, rounds=1, seconds=0.3, rates=(50.0,))

    assert found.broker.startswith("RabbitMQ ")
    for (each_round,) in (found.fastest, found.at_rate[50.0]):
        assert set(each_round) == {"outbox", "confirm", "obvious"}
        for done in each_round.values():
            assert min(done.events, done.delivered_rate, done.resident_bytes) > 0
            assert {"50", "99"} <= set(done.latency_ms)


async def test_a_system_that_answers_and_delivers_nothing_is_not_measured(
    broker_url: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="events were acknowledged, 0 are in the queue"):
        await speed.measure(
            broker_url,
            tmp_path,
            [BARE],
            rounds=1,
            seconds=0.1,
            rates=(),
            delivery_limit_s=0.2,
        )
