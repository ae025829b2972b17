"""`relay asyncapi`: what the configured sources publish, as an AsyncAPI document."""

from collections import defaultdict
from importlib import metadata
from pathlib import Path

import click

from relay import vendors
from relay.broker.connection import read_url
from relay.cli.output import show_json
from relay.events import asyncapi
from relay.process.command import config_option
from relay.settings import load


@click.command("asyncapi")
@config_option
def command(config: Path | None) -> None:
    """Print an AsyncAPI 3 document of the configured sources: channels, keys and schemas."""
    settings = load(config)
    known = vendors.discover()
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for name, source in settings.sources.items():
        sources[source.vendor].append(name)
    show_json(
        asyncapi.document(
            version=metadata.version("relay"),
            exchange=settings.broker.exchange,
            urls=[read_url(url) for url in settings.broker.urls],
            sources=sources,
            types={vendor: vendors.types(known[vendor]) for vendor in sources},
        )
    )
