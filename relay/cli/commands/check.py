"""`relay check`: would `relay serve` work with these settings, here and now?"""

import asyncio
import errno
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import click
from aio_pika.abc import AbstractConnection

from relay.broker.connection import declare, public_address, read_url
from relay.cli.checks import machine, rabbitmq, round_trip
from relay.cli.checks.finding import Finding
from relay.cli.connection import connected
from relay.cli.main import json_option
from relay.cli.output import is_terminal, show_json, show_row
from relay.configured import sources_of, topology_of
from relay.errors import BrokerError, RelayError, TopologyError
from relay.events.topology import Topology
from relay.outbox import layout
from relay.outbox import stats as outbox_stats
from relay.outbox.database import FILE_NAME
from relay.outbox.lock import LOCK_NAME, unusable
from relay.outbox.reserve import RESERVE_NAME
from relay.process.command import FAILED, config_option, run
from relay.settings import Settings, load

_LIMIT_S = 60.0
"""Of one check, whatever it waits for."""

_Check = Callable[[Settings], Awaitable[Finding]]
_OnBroker = Callable[[AbstractConnection, Settings], Awaitable[Finding]]
_Named = tuple[str, _Check]


@click.command("check")
@config_option
@click.option("--offline", is_flag=True, help="Leave the broker out.")
@click.option(
    "--deep",
    "is_deep",
    is_flag=True,
    help="Also clock, ports, disk, rights, queues and a round trip.",
)
@json_option
def command(config: Path | None, *, offline: bool, is_deep: bool, as_json: bool) -> None:
    """Check settings, outbox and brokers. Nothing is created.

    With --deep also what an event needs beyond them; a signed sample of each source goes through
    RabbitMQ and back, in an exchange and a queue of its own that nobody else sees. A warning does
    not change the exit status.
    """
    settings = load(config)
    groups: list[list[_Named]] = [[("settings", _check_settings)], [("outbox", _check_outbox)]]
    if is_deep:
        groups += [[check] for check in _deep_here(settings)]
    if not offline:
        groups += [_on_broker(read_url(url), is_deep=is_deep) for url in settings.broker.urls]
    if not run(_all_pass(groups, settings, as_json=as_json)):
        sys.exit(FAILED)


def _deep_here(settings: Settings) -> Iterator[_Named]:
    """Yield the checks of this machine."""
    ingress, admin = settings.ingress, settings.admin
    listeners = [("ingress", ingress.host, ingress.port), ("admin", admin.host, admin.port)]
    yield "clock", lambda _: machine.clock()
    yield "ports", lambda _: machine.ports(listeners)
    if settings.ingress.ack_after == "outbox":
        outbox = settings.outbox
        yield "fsync", lambda _: machine.disk(outbox.directory, outbox.write_timeout_s)
        yield (
            "free space",
            lambda _: machine.space(outbox.directory, outbox.max_bytes, outbox.write_timeout_s),
        )


def _on_broker(url: str, *, is_deep: bool) -> list[_Named]:
    """Return the checks of one broker; those behind the first need it to pass."""
    address = public_address(url)
    checks: list[_Named] = [(f"broker {address}", partial(_check_broker, url))]
    if not is_deep:
        return checks
    on_broker: dict[str, _OnBroker] = {
        "version": lambda connection, _: rabbitmq.version(connection),
        "rights": rabbitmq.rights,
        "queues": rabbitmq.queues,
        "clocks": round_trip.clocks,
        "round trip": round_trip.round_trip,
    }
    if url.startswith("amqps:"):
        checks.append((f"certificate {address}", lambda _: rabbitmq.certificate(url)))
    for name, check in on_broker.items():
        checks.append((f"{name} {address}", partial(_with_connection, url, check)))
    return checks


async def _with_connection(url: str, check: _OnBroker, settings: Settings) -> Finding:
    this_one = settings.broker.model_copy(update={"urls": [url]})
    async with connected(this_one) as connection:
        return await check(connection, settings)


async def _all_pass(
    groups: Sequence[Sequence[_Named]], settings: Settings, *, as_json: bool
) -> bool:
    """Run every check, print its result, and return whether all passed."""
    failures = 0
    for group in groups:
        for name, check in group:
            try:
                async with asyncio.timeout(_LIMIT_S):
                    finding = await check(settings)
            except TimeoutError:
                error: RelayError = RelayError(f"{name}: no answer within {_LIMIT_S:g} s.")
            except RelayError as raised:
                error = raised
            else:
                status = "warning" if finding.is_warning else "ok"
                _show(status, name, finding.text, as_json=as_json)
                continue
            failures += 1
            _show("failed", name, str(error), as_json=as_json)
            is_unreachable = isinstance(error, BrokerError) and not isinstance(error, TopologyError)
            if is_unreachable and name == group[0][0]:
                break  # the others would say the same
    return not failures


def _show(status: str, name: str, text: str, *, as_json: bool) -> None:
    """Print a line. What failed is on stderr, too, where that is not the same terminal."""
    if as_json:
        show_json({"check": name, "status": status, "text": text})
        return
    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[status]
    show_row(status, name, text, styles=(colour,))
    if status == "failed" and not is_terminal():
        click.echo(f"relay: {text}", err=True)


async def _check_settings(settings: Settings) -> Finding:
    names = ", ".join(sources_of(settings))
    return Finding(f"{settings.file or 'from the environment'}, sources: {names}")


async def _check_outbox(settings: Settings) -> Finding:
    if settings.ingress.ack_after == "confirm":
        return Finding('not used, since ingress.ack_after is "confirm"')
    limit_s = settings.outbox.write_timeout_s
    return await machine.within(limit_s, "outbox", partial(_look_at_outbox, settings))


def _look_at_outbox(settings: Settings) -> Finding:
    directory = settings.outbox.directory
    try:
        with tempfile.TemporaryFile(dir=machine.existing(directory)):
            pass
        is_new = not layout.present(directory)
        for path in _files(directory):
            if not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as error:
        raise unusable(directory, error) from error
    if is_new:
        return Finding(f"{directory}, not made yet")
    found = outbox_stats.inspect_all(directory, settings.outbox.max_bytes, settings.ingress.workers)
    depth = sum(stats.depth for stats, _ in found.values())
    where = f" in {len(found)} outboxes" if len(found) > 1 else ""
    return Finding(f"{directory}, {depth} messages waiting{where}")


def _files(root: Path) -> Iterator[Path]:
    """Yield the outboxes' directories and files, as far as they are there."""
    for number in layout.present(root):
        directory = layout.directory_of(root, number)
        yield directory
        names = (FILE_NAME, LOCK_NAME, RESERVE_NAME)
        yield from [path for name in names if (path := directory / name).exists()]


async def _check_broker(url: str, settings: Settings) -> Finding:
    this_one = settings.broker.model_copy(update={"urls": [url]})
    async with connected(this_one) as connection:
        missing = await _missing(connection, settings)
    if missing:
        return Finding(f"login accepted; `relay serve` will declare {', '.join(missing)}")
    return Finding("login accepted, topology complete")


async def _missing(connection: AbstractConnection, settings: Settings) -> list[str]:
    """Return the names of what `relay serve` will declare, once all the rest is checked.

    Raises:
        TopologyError: something has other properties, or is missing and may not be declared.
    """
    missing = []
    for name, part in _parts(topology_of(settings)):
        try:
            await declare(connection, part, passive=True)
        except TopologyError:
            if not settings.broker.declare_topology:
                raise
            missing.append(name)
        else:
            # It exists, so this changes nothing, but only this compares the properties.
            if settings.broker.declare_topology:
                await declare(connection, part, passive=False)
    return missing


def _parts(wanted: Topology) -> Iterator[tuple[str, Topology]]:
    """Split a topology into one per object, so that a missing one does not hide the others."""
    for exchange in wanted.exchanges:
        yield f"exchange {exchange.name}", Topology(exchanges=(exchange,))
    for queue in wanted.queues:
        yield f"queue {queue.name}", Topology(queues=(queue,))
