"""`relay outbox`: what waits on this machine's disk, whether a relay runs or not."""

import time
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import click

from relay.cli.main import json_option
from relay.cli.output import show_json, show_row, show_table
from relay.cli.parked_queue import (
    age_s,
    all_option,
    confirm_drop,
    ids_argument,
    limit_option,
    require_choice,
    show_message,
    yes_option,
)
from relay.outbox import outside
from relay.outbox import stats as outbox_stats
from relay.outbox.outside import StoredEvent
from relay.outbox.stats import Stats
from relay.process.command import config_option
from relay.settings import Settings, load

id_argument = click.argument("wanted_id", metavar="ID")


@click.group("outbox", invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def command(context: click.Context, config: Path | None, *, as_json: bool) -> None:
    """Show what waits in the outbox; look at, retry or drop what RabbitMQ refuses."""
    if context.invoked_subcommand is None:
        _show_summary(load(config), as_json=as_json)


@command.command("list")
@config_option
@click.option("--parked", "is_parked", is_flag=True, help="Only what RabbitMQ refuses.")
@limit_option
@json_option
def list_command(config: Path | None, limit: int, *, is_parked: bool, as_json: bool) -> None:
    """List the events that wait, oldest first."""
    found = outside.find_all(_directory(config), is_parked=is_parked, limit=limit)
    described = [_described(event) for event in found]
    if as_json:
        show_json(described)
    else:
        titles = ("ID", "Age (s)", "Worker", "Routing key", "Bytes", "Parked", "Reason")
        show_table(titles, [event.values() for event in described])


@command.command("show")
@config_option
@id_argument
def show_command(config: Path | None, wanted_id: str) -> None:
    """Show one event: where it is to go, why it is parked, its body."""
    event, body = outside.find(_directory(config), wanted_id)
    show_message("Event", _described(event), {}, body)


@command.command("export")
@config_option
@id_argument
@click.argument("file", type=click.File("wb"))
def export_command(config: Path | None, wanted_id: str, file: BinaryIO) -> None:
    """Write the body of an event to FILE; `-` is stdout."""
    _, body = outside.find(_directory(config), wanted_id)
    file.write(body)


@command.command("retry")
@config_option
@ids_argument
@all_option
def retry_command(config: Path | None, ids: tuple[str, ...], *, is_all: bool) -> None:
    """Let the relay try parked events now; a stopped one does so when it starts."""
    require_choice(ids, is_all=is_all)
    for event_id in outside.retry(_directory(config), ids):
        show_row("due", event_id, styles=("green",))


@command.command("drop")
@config_option
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@yes_option
def drop_command(config: Path | None, ids: tuple[str, ...], *, yes: bool) -> None:
    """Remove parked events for good."""
    directory = _directory(config)
    if not yes:
        confirm_drop(" and ".join(ids))
    for event_id in outside.drop(directory, ids):
        show_row("dropped", event_id, styles=("yellow",))


def _directory(config: Path | None) -> Path:
    return load(config).outbox.directory


def _described(event: StoredEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "age_s": age_s(event.received_at, time.time()),
        "worker": event.worker,
        "routing_key": event.routing_key,
        "size": event.size,
        "parked": event.parked_at is not None,
        "reason": event.parked_reason,
    }


def _show_summary(settings: Settings, *, as_json: bool) -> None:
    directory, max_bytes = settings.outbox.directory, settings.outbox.max_bytes
    inspected = outbox_stats.inspect_all(directory, max_bytes, settings.ingress.workers)
    summary = _summary(outbox_stats.total([stats for stats, _ in inspected.values()], max_bytes))
    counts: Counter[str] = Counter()
    for _, keys in inspected.values():
        counts.update(dict(keys))
    if as_json:
        each = [{"worker": number} | _summary(stats) for number, (stats, _) in inspected.items()]
        show_json(summary | {"routing_keys": dict(counts.most_common()), "workers": each})
    else:
        show_table(("Outbox", str(directory)), summary.items())
        if len(inspected) > 1:
            rows = [(f"worker {number}", stats.depth) for number, (stats, _) in inspected.items()]
            show_table(("Worker", "Messages"), rows)
        show_table(("Routing key", "Messages"), counts.most_common())


def _summary(stats: Stats) -> dict[str, object]:
    return {
        "messages": stats.depth,
        "bytes": stats.disk_bytes,
        "log_bytes": stats.log_bytes,
        "used_bytes": stats.used_bytes,
        "max_bytes": stats.max_bytes,
        "oldest_age_s": round(outbox_stats.age_s(stats), 3),
        "parked": stats.parked.messages,
    }
