"""`relay asyncapi`: what the configured sources publish, as an AsyncAPI document."""

from collections import defaultdict
from importlib import metadata
from pathlib import Path

import click

from relay import vendors
from relay.broker.connection import read_url
from relay.cli.output import show_json
from relay.configured import sources_of
from relay.events import asyncapi
from relay.process.command import config_option
from relay.settings import load


@click.command("asyncapi")
@config_option
def command(config: Path | None) -> None:
    """Print an AsyncAPI 3 document of the configured sources: channels, keys and schemas."""
    settings = load(config)
    sources: defaultdict[str, list[str]] = defaultdict(list)
    types: defaultdict[str, set[str]] = defaultdict(set)
    for name, source in sources_of(settings).items():
        sources[source.origin.vendor].append(name)
        types[source.origin.vendor] |= vendors.types(source.vendor)
    show_json(
        asyncapi.document(
            version=metadata.version("relay"),
            exchange=settings.broker.exchange,
            urls=[read_url(url) for url in settings.broker.urls],
            sources=sources,
            types=types,
        )
    )
