"""Where the commands that ask a running relay find its admin port."""

from pathlib import Path

import click

from relay.settings import load

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  nothing is bound

urls_option = click.option(
    "--url",
    "urls",
    multiple=True,
    help="A receiver's admin port; else the one of the settings, on this machine. May be repeated.",
)


def admin_url(config: Path | None) -> str:
    """Return the URL of the admin port that the settings name, as this machine reaches it."""
    admin = load(config).admin
    return reached_url(admin.host, admin.port)


def reached_url(host: str, port: int) -> str:
    """Return the URL of a listener, as this machine reaches it."""
    name = _ANY_ADDRESS.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
