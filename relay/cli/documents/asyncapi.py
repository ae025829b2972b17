"""`relay asyncapi`: what the configured sources publish, as an AsyncAPI document."""

from collections import defaultdict
from importlib import metadata
from pathlib import Path

import click

from relay import vendors
from relay.broker.connection import read_url
from relay.cli.output import show_json
from relay.configured import source_exchanges, sources_of
from relay.events import asyncapi
from relay.events.request_headers import PREFIX
from relay.process.command import config_option
from relay.process.libraries import DISTRIBUTION
from relay.settings import Settings, load


@click.command("asyncapi")
@config_option
def command(config: Path | None) -> None:
    """Print an AsyncAPI 3 document of the configured sources: channels, keys and schemas."""
    show_json(document_of(load(config)))


def document_of(settings: Settings) -> asyncapi.Document:
    """Return the AsyncAPI document of the configured sources.

    Raises:
        SettingsError: there is no source.
    """
    own = source_exchanges(settings)
    main = settings.broker.exchange
    sources: dict[str, defaultdict[str, list[str]]] = {
        exchange: defaultdict(list) for exchange in (main, *sorted(own.values()))
    }
    types: defaultdict[str, set[str]] = defaultdict(set)
    headers: set[str] = set()
    for name, source in sources_of(settings).items():
        sources[own.get(name, main)][source.origin.vendor].append(name)
        types[source.origin.vendor] |= vendors.types(source.vendor)
        if source.rules:
            headers |= {f"{PREFIX}{header}" for header in source.rules.headers}
    return asyncapi.document(
        version=metadata.version(DISTRIBUTION),
        urls=[read_url(url) for url in settings.broker.urls],
        sources=sources,
        types=types,
        headers=sorted(headers),
    )
