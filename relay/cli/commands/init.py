"""`relay init`: the first settings, a secret, and what to enter at the vendor."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from relay import vendors
from relay.cli.completing import complete_vendor
from relay.cli.main import json_option
from relay.cli.output import show_json, show_row
from relay.cli.setup import readings
from relay.cli.setup.new_settings import require_absent
from relay.cli.setup.plan import SourcePlan, needs_file
from relay.cli.setup.readings import ANY_HOST, NEW_SECRET, GivenSecret
from relay.process.command import config_option
from relay.settings import BrokerSettings
from relay.settings_file import DEFAULT_FILE
from relay.vendors.kit.setup import Setup

_BROKER_VARIABLE = "RELAY_BROKER__URLS"
_DEFAULT_BROKER = BrokerSettings().urls[0]
_MAX_SECRET_CHARACTERS = 65_536

AnswerT = TypeVar("AnswerT")


@click.command("init")
@config_option
@click.option("--vendor", help="One of `relay vendors`.", shell_complete=complete_vendor)
@click.option("--preset", help="With --vendor generic: a sender known by name.")
@click.option("--source", help="Name of the source, in its URL: /in/SOURCE; else the vendor's.")
@click.option(
    "--secret",
    metavar="WHERE",
    help="`new`: make one; or env:NAME, file:PATH, or - for stdin (with --yes).",
)
@click.option("--broker", metavar="URL", help="Of RabbitMQ; or env:NAME or file:PATH.")
@click.option("--public-url", metavar="URL", help="By which the vendor reaches this relay.")
@click.option("--yes", "is_unasked", is_flag=True, help="Ask nothing: flags, and defaults.")
@json_option
def command(
    config: Path | None,
    vendor: str | None,
    preset: str | None,
    source: str | None,
    *,
    secret: str | None,
    broker: str | None,
    public_url: str | None,
    is_unasked: bool,
    as_json: bool,
) -> None:
    """Write a first relay.toml and a file with a secret.

    Asks for vendor, source, where the secret is, and RabbitMQ's URL, unless flags say it, and
    prints what to enter at the vendor. What is there already is never overwritten.
    """
    path = Path(config or os.environ.get("RELAY_CONFIG") or DEFAULT_FILE).absolute()
    require_absent(path)
    ask = _Questions(is_unasked=is_unasked)
    vendor = ask(vendor, "--vendor", "Vendor, one of `relay vendors`", readings.read_vendor)
    preset = preset if preset is not None or vendors.presets_of(vendor) else ""
    read_preset = partial(readings.read_preset, vendor=vendor)
    preset = ask(preset, "--preset", "Preset, if it is a known sender", read_preset, default="")
    setup = vendors.setup_of(vendor, preset)
    source = ask(source, "--source", "Source", readings.read_source, default=preset or vendor)
    public_url = public_url or (None if setup.needs_url else ANY_HOST)
    words = "Public URL of this relay, which the vendor signs"
    base = ask(public_url, "--public-url", words, readings.read_public_url)
    given = _secret(ask, secret, setup)
    if broker is None and os.environ.get(_BROKER_VARIABLE):
        broker = ""
    words = "URL of RabbitMQ, or env:NAME or file:PATH"
    broker = ask(broker, "--broker", words, readings.read_broker, default=_DEFAULT_BROKER)
    plan = SourcePlan(
        path=path,
        vendor=vendor,
        preset=preset,
        source=source,
        url=f"{base}/in/{source}",
        secret=given or readings.made_secret(),
        is_secret_known=given is not None or not setup.is_copied,
        broker=broker,
        is_broker_secret=needs_file(broker, _DEFAULT_BROKER),
    )
    plan.check()
    written = plan.new_settings().write(path)
    _show(plan, written, as_json=as_json)


class _Questions:
    """Asks for what no flag says.

    Args:
        is_unasked: take defaults instead.
    """

    def __init__(self, *, is_unasked: bool) -> None:
        self.is_unasked = is_unasked

    def __call__(
        self,
        given: str | None,
        option: str,
        question: str,
        read: Callable[[str], AnswerT],
        *,
        default: str | None = None,
    ) -> AnswerT:
        """Return what the flag says, or else a person, or else the default.

        Raises:
            UsageError: the flag says what can't be, or is needed.
        """
        if given is None and not self.is_unasked:
            # Hidden only on a terminal: elsewhere nothing is echoed, and there is none to ask.
            hide = default == "" and option == "--secret" and sys.stdin.isatty()
            show = bool(default)
            return click.prompt(
                question, default, value_proc=read, hide_input=hide, show_default=show, err=True
            )
        given = default if given is None else given
        if given is None:
            raise click.UsageError(f"--yes needs {option}: {question[0].lower()}{question[1:]}.")
        try:
            return read(given)
        except click.BadParameter as error:
            error.param_hint = option
            raise


def _secret(ask: _Questions, given: str | None, setup: Setup) -> GivenSecret | None:
    """Return the secret; None if nobody has it yet."""
    if given == "-":
        if not ask.is_unasked:
            raise click.UsageError("--secret - needs --yes: stdin can't answer questions, too.")
        given = sys.stdin.read(_MAX_SECRET_CHARACTERS)
        return ask(given, "--secret", "", readings.read_secret)
    if given is not None:
        return ask(given, "--secret", "", readings.read_secret_option)
    if setup.is_copied:
        question = "Secret that the vendor shows, or env:NAME or file:PATH; empty: not known yet"
        return ask(None, "--secret", question, readings.read_known_secret, default="")
    question = "Secret: `new` makes one; or it itself, env:NAME or file:PATH"
    return ask(None, "--secret", question, readings.read_secret, default=NEW_SECRET)


def _show(plan: SourcePlan, written: list[Path], *, as_json: bool) -> None:
    entered, commands = plan.entered(), plan.next_commands()
    if as_json:
        show_json({"written": [str(file) for file in written], "enter": entered, "next": commands})
        return
    for file in written:
        show_row("written", str(file), styles=("green",))
    for name, value in entered.items():
        show_row(name, value, styles=("bold",))
    for line in commands:
        show_row("next", line, styles=("dim",))
