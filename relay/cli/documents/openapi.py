"""`relay openapi`: what the two ports of the configured relay answer, as an OpenAPI document."""

from importlib import metadata
from pathlib import Path

import click

from relay import vendors
from relay.cli.admin_port import reached_url
from relay.cli.output import show_json
from relay.configured import sources_of
from relay.openapi import document as openapi
from relay.openapi.ingress import SourcePath
from relay.openapi.operations import Document
from relay.process.command import config_option
from relay.process.libraries import DISTRIBUTION
from relay.settings import Settings, load


@click.command("openapi")
@config_option
def command(config: Path | None) -> None:
    """Print an OpenAPI 3.1 document of the ingress and the admin port, with every answer."""
    show_json(document_of(load(config)))


def document_of(settings: Settings) -> Document:
    """Return the OpenAPI document of the configured relay.

    Raises:
        SettingsError: there is no source.
    """
    ingress, admin = settings.ingress, settings.admin
    hosts = [ingress.host] if isinstance(ingress.host, str) else ingress.host
    sources = [
        SourcePath(
            name=name,
            vendor=source.origin.vendor,
            asks=vendors.asks(source.vendor),
            echoes=vendors.echoes(source.vendor),
        )
        for name, source in sources_of(settings).items()
    ]
    return openapi.document(
        version=metadata.version(DISTRIBUTION),
        ingress_urls=[reached_url(host, ingress.port) for host in hosts],
        admin_url=reached_url(admin.host, admin.port),
        sources=sources,
        methods=vendors.ASKING_METHODS,
    )
