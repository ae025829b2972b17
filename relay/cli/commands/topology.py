"""`relay topology`: what the relay needs on the broker, shown or declared."""

from collections.abc import Mapping
from pathlib import Path

import click

from relay.broker.connection import declare
from relay.cli.connection import connected
from relay.cli.main import json_option
from relay.cli.output import show_json, show_table
from relay.configured import topology_of
from relay.events.topology import Topology
from relay.process.command import config_option, run
from relay.settings import BrokerSettings, load


@click.command("topology")
@config_option
@click.option("--apply", "is_applied", is_flag=True, help="Declare it on the broker.")
@json_option
def command(config: Path | None, *, is_applied: bool, as_json: bool) -> None:
    """Print what the relay needs on the broker, or declare it."""
    settings = load(config)
    wanted = topology_of(settings)
    if is_applied:
        run(_apply(settings.broker, wanted))
    if as_json:
        show_json(_described(wanted))
    else:
        show_table(("Object", "Name", "Properties"), _rows(wanted))
    if is_applied:
        click.echo("Declared.", err=True)


async def _apply(settings: BrokerSettings, wanted: Topology) -> None:
    async with connected(settings) as connection:
        await declare(connection, wanted, passive=False)


def _described(wanted: Topology) -> dict[str, object]:
    return {
        "exchanges": [
            {
                "name": exchange.name,
                "type": exchange.kind,
                "durable": True,
                "arguments": exchange.arguments,
            }
            for exchange in wanted.exchanges
        ],
        "queues": [
            {"name": queue.name, "durable": True, "arguments": queue.arguments}
            for queue in wanted.queues
        ],
        "bindings": [
            {
                "exchange": binding.exchange,
                "to_exchange" if binding.is_to_exchange else "queue": binding.to,
                "pattern": binding.pattern,
            }
            for binding in wanted.bindings
        ],
    }


def _rows(wanted: Topology) -> list[tuple[str, str, str]]:
    return [
        *[
            ("exchange", exchange.name, _joined({"type": exchange.kind} | exchange.arguments))
            for exchange in wanted.exchanges
        ],
        *[("queue", queue.name, _joined(queue.arguments)) for queue in wanted.queues],
        *[
            (
                "binding",
                binding.to,
                _joined({"exchange": binding.exchange, "pattern": binding.pattern}),
            )
            for binding in wanted.bindings
        ],
    ]


def _joined(properties: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in properties.items())
