"""What a person may answer to the questions of `relay init`, by flag or when asked."""

import secrets
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from relay import broker_url, vendors
from relay.settings_file import resolve_secrets
from relay.settings_values import SOURCE_NAME

NEW_SECRET = "new"  # noqa: S105  what to say for "make one"
ANY_HOST = "https://HOST"
"""Stands for the public URL as long as nobody needs to know it."""

_REFERENCES = ("env:", "file:")
_SECRET_BYTES = 32


class GivenSecret(NamedTuple):
    """A secret.

    Args:
        value: what it is.
        reference: where it is kept, as settings say it; "" if it has yet to be put into a file.
    """

    value: str
    reference: str = ""


def made_secret() -> GivenSecret:
    """Make one: hexadecimal, which every kind of key and every place of a token takes."""
    return GivenSecret(secrets.token_hex(_SECRET_BYTES))


def read_vendor(text: str) -> str:
    """Return the name of a vendor."""
    if text not in vendors.names():
        raise click.BadParameter(f"{text!r} is none of {', '.join(vendors.names())}.")
    return text


def read_preset(text: str, vendor: str) -> str:
    """Return a preset of a vendor; "" for none."""
    presets = vendors.presets_of(vendor)
    if text and text not in presets:
        choice = f"{text!r} is none of {', '.join(presets)}" if presets else "remove it"
        raise click.BadParameter(f"As preset of {vendor}: {choice}.")
    return text


def read_source(text: str) -> str:
    """Return the name of a source."""
    if not SOURCE_NAME.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no name: up to 64 of a-z, 0-9, _ and -.")
    return text


def read_broker(text: str) -> str:
    """Return a broker's URL, or where it is kept; "" if the environment says it."""
    if not text:
        return ""
    reference = _absolute(text)
    try:
        broker_url.read(reference)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error
    return reference


def is_reference(text: str) -> bool:
    """Return whether text says where something is kept, instead of what it is."""
    return text.startswith(_REFERENCES)


def read_secret_option(text: str) -> GivenSecret:
    """Return the secret that a flag says where to find."""
    if text != NEW_SECRET and not is_reference(text):
        raise click.BadParameter(
            "Others can see what is on a command line: say `new`, env:NAME, file:PATH, or - to "
            "read it from stdin."
        )
    return read_secret(text)


def read_known_secret(text: str) -> GivenSecret | None:
    """Return the secret that a vendor made; None for nothing."""
    return read_secret(text) if text.strip() else None


def read_secret(text: str) -> GivenSecret:
    """Return the secret that a person enters, has made, or says where to find."""
    text = text.strip()
    if not text:
        raise click.BadParameter("It is empty.")
    if text == NEW_SECRET:
        return made_secret()
    reference = _absolute(text)
    try:
        (value,) = resolve_secrets([reference])
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error
    if not value.isprintable() and not is_reference(text):
        raise click.BadParameter("It has characters that nobody can type; use file:PATH for it.")
    return GivenSecret(value, reference if is_reference(text) else "")


def read_public_url(text: str) -> str:
    """Return the public URL of the relay, without a slash at its end."""
    try:
        url = urlsplit(text)
        is_plain = not (url.query or url.fragment or url.username or url.port == 0)
    except ValueError:
        is_plain = False
    else:
        is_plain = is_plain and url.scheme in {"http", "https"} and bool(url.hostname)
    if not is_plain:
        raise click.BadParameter("It must be like https://hooks.example.com, without a query.")
    return text.rstrip("/")


def _absolute(text: str) -> str:
    """Return a reference that means the same wherever the relay is started."""
    kind, _, path = text.partition(":")
    return f"file:{Path(path).expanduser().absolute()}" if kind == "file" else text
