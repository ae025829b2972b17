"""RabbitMQ closes the channel over a message; all others go out at once, and none is lost."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from deploy.local.broker import PrivateBroker
from relay import vendors
from relay.outbox.database import FILE_NAME
from tests.support.eventually import eventually
from tests.support.parked_queue import ParkedQueue
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers import administration, refusals

LimitSize = Callable[..., None]
Permit = Callable[..., None]

LIMIT_BYTES = 100_000
LARGE = vendors.samples("swiftsell")[1].read_bytes().replace(b"Hiiiii", b"x" * LIMIT_BYTES)
OTHER_LARGE = LARGE.replace(b"xxx", b"yyy", 1)
FORBIDDEN = vendors.samples("swiftsell")[1].read_bytes().replace(b'"text"', b'"forbidden"')


@pytest.fixture
async def kept(own_broker: PrivateBroker, exchange: str) -> ParkedQueue:
    return await ParkedQueue(own_broker.url, exchange, f"{exchange}-kept").create()


@pytest.fixture
def limit_size(own_broker: PrivateBroker) -> Iterator[LimitSize]:
    yield partial(refusals.limit_size, own_broker)
    refusals.limit_size(own_broker)


@pytest.fixture
def permit(own_broker: PrivateBroker, exchange: str) -> Iterator[Permit]:
    """Permit the routing keys that match a pattern, in the test's exchange or another."""

    def permit(pattern: str, name: str = exchange) -> None:
        refusals.permit_keys(own_broker, name, pattern)

    yield permit
    refusals.permit_all_keys(own_broker)


def relay_at(directory: Path, node: PrivateBroker, exchange: str, **more: Any) -> RelayProcess:
    return RelayProcess(directory, broker_url=node.url, exchange=exchange, **more)


def forbidden_bodies(count: int, start: int = 0) -> list[bytes]:
    return [FORBIDDEN.replace(b"Hiiiii", b"%d" % n) for n in range(start, start + count)]


def count_parked(directory: Path) -> int:
    path = directory / "outbox" / FILE_NAME
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM parked").fetchone()[0])


async def delete_exchange(url: str, exchange: str) -> None:
    async with await aio_pika.connect(url) as connection:
        await (await connection.channel()).exchange_delete(exchange)


async def test_a_message_that_is_too_large_holds_up_no_other(
    tmp_path: Path,
    own_broker: PrivateBroker,
    exchange: str,
    kept: ParkedQueue,
    limit_size: LimitSize,
) -> None:
    limit_size(LIMIT_BYTES)
    async with relay_at(tmp_path, own_broker, exchange) as relay:
        (large,) = await post_all(relay.url, [LARGE])
        accepted = await post_all(relay.url, numbered(20))
        arrived = await kept.holds(set(accepted))
        await eventually(lambda: relay.lines("message parked"))
        (line,) = relay.lines("message parked")
        assert (line["event_id"], line["size"] > LIMIT_BYTES) == (large, True)
        assert "size" in line["reason"]
        assert large not in arrived

        limit_size()
        await kept.holds({large})
        await eventually(relay.is_drained)

    assert not relay.lines("broker unavailable")


async def test_a_key_that_may_not_be_published_to_holds_up_no_other(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue, permit: Permit
) -> None:
    permit(r"\.text$")
    async with relay_at(tmp_path, own_broker, exchange) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        began_at = time.monotonic()
        forbidden = await post_all(relay.url, forbidden_bodies(3), concurrency=1)
        accepted = await post_all(relay.url, numbered(500))
        arrived = await kept.holds(set(accepted))
        assert time.monotonic() - began_at < 20
        assert not set(forbidden) & set(arrived)

        permit(".*")
        returned = await kept.holds(set(forbidden))
        await eventually(relay.is_drained)

    assert returned[-3:] == forbidden
    assert not relay.lines("broker unavailable")


async def test_several_culprits_of_different_kinds_among_thousands_in_flight(  # noqa: PLR0917  fixtures
    tmp_path: Path,
    own_broker: PrivateBroker,
    exchange: str,
    kept: ParkedQueue,
    permit: Permit,
    limit_size: LimitSize,
) -> None:
    permit(r"\.text$")
    own_broker.stop()
    innocent = numbered(3000)
    bodies = list(innocent)
    bodies[10:10] = [LARGE]
    bodies[1500:1500] = forbidden_bodies(2)
    bodies[2900:2900] = [OTHER_LARGE, *forbidden_bodies(1, start=5)]
    relay = relay_at(tmp_path, own_broker, exchange, ingress={"shutdown_grace_s": 0.1})
    async with relay:
        ids = await post_all(relay.url, bodies, concurrency=1)
    culprits = {ids[bodies.index(body)] for body in {*bodies} - {*innocent}}
    own_broker.start()
    limit_size(LIMIT_BYTES)
    async with relay:
        arrived = await kept.holds(set(ids) - culprits)
        await eventually(lambda: count_parked(tmp_path) == len(culprits))

    assert len(culprits) == 5
    assert not culprits & set(arrived)
    assert list(dict.fromkeys(arrived)) == [each for each in ids if each not in culprits]


async def test_an_exchange_that_may_not_be_written_to_parks_what_goes_there(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue
) -> None:
    administration.set_permissions(own_broker, "guest", (".*", f"^(?!{exchange}$).*", ".*"))
    try:
        async with relay_at(tmp_path, own_broker, exchange) as relay:
            accepted = await post_all(relay.url, numbered(20), concurrency=1)
            await eventually(lambda: count_parked(tmp_path) == len(accepted))

            administration.set_permissions(own_broker, "guest", (".*", ".*", ".*"))
            arrived = await kept.holds(set(accepted))
            await eventually(relay.is_drained)
    finally:
        administration.set_permissions(own_broker, "guest", (".*", ".*", ".*"))

    assert list(dict.fromkeys(arrived)) == accepted


async def test_a_missing_exchange_parks_what_goes_there_and_the_relay_connects_all_the_same(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str
) -> None:
    async with relay_at(
        tmp_path, own_broker, exchange, broker={"declare_topology": False}
    ) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        accepted = await post_all(relay.url, numbered(20), concurrency=1)
        await eventually(lambda: count_parked(tmp_path) == len(accepted))
        assert relay.lines("topology incomplete")

        kept = await ParkedQueue(own_broker.url, exchange, f"{exchange}-kept").create()
        arrived = await kept.holds(set(accepted))
        await eventually(relay.is_drained)

    assert list(dict.fromkeys(arrived)) == accepted
    assert len(relay.lines("broker connected")) == 1


async def test_what_is_parked_stays_so_over_a_restart_and_is_tried_at_once(
    tmp_path: Path,
    own_broker: PrivateBroker,
    exchange: str,
    kept: ParkedQueue,
    limit_size: LimitSize,
) -> None:
    limit_size(LIMIT_BYTES)
    relay = relay_at(tmp_path, own_broker, exchange)
    async with relay:
        (large,) = await post_all(relay.url, [LARGE])
        await eventually(lambda: count_parked(tmp_path) == 1)
    async with relay:
        accepted = await post_all(relay.url, numbered(20))
        await kept.holds(set(accepted))
        assert count_parked(tmp_path) == 1
    limit_size()
    async with relay:
        await kept.holds({large})
        await eventually(relay.is_drained)

    assert len(relay.lines("message parked")) == 1


async def test_an_exchange_that_was_deleted_is_declared_anew(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, kept: ParkedQueue
) -> None:
    async with relay_at(tmp_path, own_broker, exchange) as relay:
        await kept.holds(set(await post_all(relay.url, numbered(5))))
        await delete_exchange(own_broker.url, exchange)
        await post_all(relay.url, numbered(5, start=10))
        await eventually(relay.is_drained)

        await kept.create()
        accepted = await post_all(relay.url, numbered(5, start=20))
        await kept.holds(set(accepted))

    assert not relay.lines("message parked")


async def test_in_confirm_mode_only_the_delivery_with_the_culprit_is_not_accepted(
    tmp_path: Path,
    own_broker: PrivateBroker,
    exchange: str,
    kept: ParkedQueue,
    limit_size: LimitSize,
) -> None:
    limit_size(LIMIT_BYTES)
    async with relay_at(tmp_path, own_broker, exchange, ingress={"ack_after": "confirm"}) as relay:
        await eventually(lambda: relay.lines("broker connected"))
        bodies = numbered(200)
        bodies[50:50] = [LARGE]
        began_at = time.monotonic()
        accepted = await post_all(relay.url, bodies)
        took_s = time.monotonic() - began_at
        await kept.holds(set(accepted))

    assert len(accepted) == 200
    assert took_s < 20
    statuses = [line["status"] for line in relay.lines("delivery")]
    assert sorted(statuses) == [200] * 200 + [503]


async def test_a_culprit_that_the_brokers_words_do_not_name_is_found_among_hundreds(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str, permit: Permit
) -> None:
    long_name = f"{exchange}-{'x' * 80}"  # RabbitMQ cuts its words after 255 bytes
    kept = await ParkedQueue(own_broker.url, long_name, f"{exchange}-kept").create()
    permit(r"\.text$", long_name)
    bodies = numbered(500)
    bodies[300:300] = [body.replace(b"forbidden", b"f" * 90) for body in forbidden_bodies(1)]
    own_broker.stop()
    async with relay_at(tmp_path, own_broker, long_name) as relay:
        ids = await post_all(relay.url, bodies, concurrency=1)
        own_broker.start()
        arrived = await kept.holds({*ids} - {ids[300]})
        await eventually(lambda: count_parked(tmp_path) == 1)

    (line,) = relay.lines("message parked")
    assert (line["event_id"], ids[300] in arrived) == (ids[300], False)
    assert long_name not in line["reason"]


async def test_an_operator_looks_retries_and_drops_beside_a_running_relay(
    tmp_path: Path,
    own_broker: PrivateBroker,
    exchange: str,
    kept: ParkedQueue,
    limit_size: LimitSize,
) -> None:
    limit_size(LIMIT_BYTES)
    command = RelayCommand(tmp_path / "relay.toml")
    async with relay_at(tmp_path, own_broker, exchange) as relay:
        first, second = await post_all(relay.url, [LARGE, OTHER_LARGE], concurrency=1)
        await eventually(lambda: count_parked(tmp_path) == 2)
        status, readiness = await relay.readiness()
        assert (status, readiness["outbox"]["parked"]["count"]) == (200, 2)
        assert "size" in readiness["outbox"]["parked"]["reason"]
        assert "relay_outbox_parked 2.0" in await relay.metrics()

        listed = json.loads((await command("outbox", "list", "--parked", "--json")).out)
        assert [event["id"] for event in listed] == [first, second]
        assert "size" in (await command("outbox", "show", first)).out
        await command("outbox", "export", first, str(tmp_path / "event.json"))
        assert json.loads((tmp_path / "event.json").read_bytes())["id"] == first
        await command("outbox", "drop", first, "--yes")
        assert (await command("outbox", "drop", first, "--yes")).code == 1
        limit_size()
        await command("outbox", "retry", "--all")
        arrived = await kept.holds({second})
        await eventually(relay.is_drained)
        assert "relay_outbox_parked 0.0" in await relay.metrics()

    assert first not in arrived
    assert relay.lines("parked message delivered")


async def test_what_is_parked_in_any_worker_is_counted_listed_and_retried(
    tmp_path: Path, own_broker: PrivateBroker, exchange: str
) -> None:
    command = RelayCommand(tmp_path / "relay.toml")
    relay = relay_at(
        tmp_path,
        own_broker,
        exchange,
        broker={"declare_topology": False},
        ingress={"workers": 2},
        outbox={"max_bytes": 100_000_000},
    )
    async with relay:
        accepted = await post_all(relay.url, numbered(40))

        async def all_are_parked() -> bool:
            parked = (await relay.readiness())[1]["outbox"]["parked"]
            return bool(parked["count"] == len(accepted))

        await eventually(all_are_parked)
        assert f"relay_outbox_parked {len(accepted)}.0" in await relay.metrics()
        listed = json.loads((await command("outbox", "list", "--parked", "--json")).out)
        assert sorted(event["id"] for event in listed) == sorted(accepted)

        kept = await ParkedQueue(own_broker.url, exchange, f"{exchange}-kept").create()
        await command("outbox", "retry", "--all")
        await kept.holds(set(accepted))
        await eventually(relay.is_drained)
