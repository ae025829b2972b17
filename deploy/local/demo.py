"""`make demo`: send every documented sample of every vendor, and check that all of it arrives.

What must arrive is in the `.expected.json` beside each sample. All samples are sent twice, and the
archive must hold every event once: the ids in the answers say which are the same event twice.
"""

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import uuid
from asyncio import StreamReader
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import aio_pika
import click

from consumers.kit import ConsumerSettings
from consumers.kit.queues.topology import topology as consumer_topology
from deploy.local.archive import ARCHIVE_PORT, archive
from deploy.local.broker import BrokerError, open_broker
from deploy.local.private_server import free_port
from deploy.local.run import (
    ROOT,
    Environment,
    environment,
    listening_tail,
    relay,
    until_interrupted,
    wait_until_ready,
)
from relay import vendors
from relay.broker.connection import CONNECTION_ERRORS
from relay.cli.event_format import excerpt
from relay.cli.output import show_table
from relay.errors import RelayError
from relay.events.topology import routing_key, topology

_ARRIVAL_LIMIT_S = 30.0
_INTERRUPTED = 130
_QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A documented sample and what must arrive for it.

    Args:
        source: to which it is sent; the demo names sources after their vendors.
        name: of its file.
        routing_keys: of the events that must arrive, or of the quarantined delivery.
    """

    source: str
    name: str
    routing_keys: list[str]


class Arrival(NamedTuple):
    """An event or a quarantined delivery, as it came out of RabbitMQ."""

    routing_key: str
    type: str
    excerpt: str


Ids = Mapping[tuple[str, str], list[str]]
"""The ids in the answers to the sender, by source and sample."""


def main() -> int:
    """Run the demo; return 0 if everything documented has happened."""
    os.chdir(ROOT)
    try:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            with open_broker(directory / "rabbitmq") as urls:
                demo = _demo(urls.split(",")[0], directory)
                return asyncio.run(until_interrupted(demo, interrupted=_INTERRUPTED))
    except KeyboardInterrupt:  # while the broker starts or stops
        return _INTERRUPTED
    except (BrokerError, RelayError) as error:
        click.echo(str(error), err=True)
        return 1


async def _demo(url: str, directory: Path) -> int:
    exchange = f"demo-{uuid.uuid4().hex[:8]}"  # a given broker may be in use
    ingress = free_port()
    admin = free_port(ingress)
    settings = {
        "RELAY_BROKER__EXCHANGE": exchange,
        "RELAY_OUTBOX__DIRECTORY": str(directory / "outbox"),
        "RELAY_LOG__LEVEL": "warning",
        "RELAY_INGRESS__PORT": str(ingress),
        "RELAY_ADMIN__PORT": str(admin),
        "RELAY_CONSUMERS__ARCHIVE__QUEUE": _archive_queue(exchange),
        "RELAY_CONSUMERS__ARCHIVE__DATABASE": f"sqlite:{directory / 'archive.db'}",
        ARCHIVE_PORT: str(free_port(ingress, admin)),
    }
    try:
        ids, arrivals, accepted, archived = await _send_and_receive(environment(url, **settings))
    finally:
        with contextlib.suppress(*CONNECTION_ERRORS):  # without a broker there is nothing to remove
            await _remove_topology(url, exchange)
    samples = list(_documented())
    show_table(("Sample", "Routing key", "Type", "Excerpt"), _rows(samples, ids, arrivals))
    problems = [*differences(samples, ids, arrivals), *archive_differences(accepted, archived)]
    for problem in problems:
        click.echo(problem, err=True)
    missing = f"{len(problems)} problems" if problems else "nothing is missing"
    click.echo(f"{len(samples)} samples sent, {len(arrivals)} arrivals, {missing}.")
    click.echo(
        f"All was sent twice, {_new_ids(accepted)} events with a new id each time; "
        f"the archive holds {_times(archived)}."
    )
    return 1 if problems else 0


async def _send_and_receive(
    environment: Environment,
) -> tuple[Ids, Mapping[str, Arrival], list[str], list[str]]:
    """Send all samples twice.

    Returns:
        The ids in the answers of the first time, what arrived of it, the ids of the events of both
        times, and the ids in the archive.
    """
    async with relay("serve", environment=environment) as serve:
        await wait_until_ready(serve, environment)
        async with archive(environment) as has_taken:
            async with listening_tail("--json", environment=environment, stdout=PIPE) as tail:
                answers = await _sent(environment)
                accepted = _ids(answers, is_quarantined=False)
                arrivals = await _received(cast("StreamReader", tail.stdout), set(accepted))
            accepted += _ids(await _sent(environment), is_quarantined=False)
            await has_taken(len(accepted))
            archived = await _archived(environment)
        quarantined = set(_ids(answers, is_quarantined=True))
        arrivals |= await _quarantined(environment, quarantined)
    ids = {(answer["source"], answer["sample"]): answer["ids"] for answer in answers}
    return ids, arrivals, accepted, archived


def _ids(answers: Sequence[Mapping[str, Any]], *, is_quarantined: bool) -> list[str]:
    """Return the ids of the events in the answers, or those of what was quarantined."""
    chosen = [answer["ids"] for answer in answers if bool(answer["reason"]) == is_quarantined]
    return list(itertools.chain.from_iterable(chosen))


async def _sent(environment: Environment) -> list[dict[str, Any]]:
    """Send the handshakes and all samples; return the answers."""
    arguments = ("send", "all", "--all", "--handshake", "--json")
    async with relay(*arguments, environment=environment, stdout=PIPE) as send:
        output, _ = await send.communicate()
        if send.returncode:
            raise RelayError("Not every delivery was accepted.")
    return [json.loads(line) for line in output.splitlines()]


async def _archived(environment: Environment) -> list[str]:
    """Return the ids of the events in the archive, as often as they are there."""
    async with relay("events", "--json", environment=environment, stdout=PIPE) as listing:
        output, _ = await listing.communicate()
    return [json.loads(line)["id"] for line in output.splitlines()]


async def _received(events: StreamReader, wanted: set[str]) -> dict[str, Arrival]:
    """Return the events that arrive until all wanted ones are there, or within the limit."""
    arrivals: dict[str, Arrival] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ARRIVAL_LIMIT_S):
            while not wanted <= arrivals.keys() and (line := await events.readline()):
                event = json.loads(line)
                what = Arrival(
                    event["routingkey"], event["type"], excerpt(event["data"], event["type"])
                )
                arrivals[event["id"]] = what
    return arrivals


async def _quarantined(environment: Environment, wanted: set[str]) -> dict[str, Arrival]:
    """Return what is in quarantine once all wanted ones are there, or after the limit."""
    arrivals: dict[str, Arrival] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ARRIVAL_LIMIT_S):
            while not wanted <= arrivals.keys():
                arrivals = await _quarantine_now(environment)
    return arrivals


async def _quarantine_now(environment: Environment) -> dict[str, Arrival]:
    arguments = ("quarantine", "list", "--json")
    async with relay(*arguments, environment=environment, stdout=PIPE) as listing:
        output, _ = await listing.communicate()
    return {
        delivery["id"]: Arrival(
            routing_key(delivery["vendor"], delivery["reason"]),
            _QUARANTINED,
            f"{delivery['size']} bytes",
        )
        for delivery in json.loads(output)
    }


def _archive_queue(exchange: str) -> str:
    return f"{exchange}-archive"


async def _remove_topology(url: str, exchange: str) -> None:
    ours = topology(exchange, unrouted_max_length=1, quarantine_max_length=1)
    theirs = consumer_topology(
        _archive_queue(exchange),
        retry_delays_s=ConsumerSettings().retry_delays_s,
        dead_max_length=1,
    )
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in (*ours.queues, *theirs.queues):
            await channel.queue_delete(queue.name)
        for declared in ours.exchanges:
            await channel.exchange_delete(declared.name)


def _documented() -> Iterator[Sample]:
    for vendor in vendors.discover():
        for file in vendors.samples(vendor):
            path = Path(str(file))
            expected = json.loads(path.with_name(f"{path.stem}.expected.json").read_bytes())
            if reason := expected.get("quarantined"):
                keys = [routing_key(vendor, reason)]
            else:
                keys = [event["routing_key"] for event in expected["events"]]
            yield Sample(source=vendor, name=path.name, routing_keys=keys)


def _rows(
    samples: Sequence[Sample], ids: Ids, arrivals: Mapping[str, Arrival]
) -> Iterator[tuple[str, ...]]:
    for sample in samples:
        for event_id in ids.get((sample.source, sample.name), []):
            arrival = arrivals.get(event_id, Arrival("missing", "", ""))
            yield f"{sample.source}/{sample.name}", *arrival


def differences(
    samples: Sequence[Sample], ids: Ids, arrivals: Mapping[str, Arrival]
) -> Iterator[str]:
    """Yield a sentence per difference between what arrived and what is documented."""
    for sample in samples:
        sent = ids.get((sample.source, sample.name), [])
        arrived = [arrivals[event_id].routing_key for event_id in sent if event_id in arrivals]
        if arrived != sample.routing_keys:
            wanted, got = ", ".join(sample.routing_keys), ", ".join(arrived) or "nothing"
            yield f"{sample.source}/{sample.name}: {got} arrived instead of {wanted}."
    for stranger in arrivals.keys() - set(itertools.chain.from_iterable(ids.values())):
        yield f"{arrivals[stranger].routing_key}: nothing that was sent explains {stranger}."


def _times(archived: Sequence[str]) -> str:
    most = max(Counter(archived).values(), default=0)
    return f"{len(archived)} events, {'each once' if most == 1 else f'some {most} times'}"


def _new_ids(accepted: Sequence[str]) -> int:
    """Return how many events had another id the second time: nothing tells them apart."""
    return sum(1 for times in Counter(accepted).values() if times == 1) // 2


def archive_differences(accepted: Sequence[str], archived: Sequence[str]) -> Iterator[str]:
    """Yield a sentence per event that is not exactly once in the archive, however often sent."""
    times = Counter(archived)
    for event_id in {*accepted, *archived}:
        if times[event_id] != (event_id in accepted):
            yield f"The archive holds the event {event_id} {times[event_id]} times."


if __name__ == "__main__":
    sys.exit(main())
