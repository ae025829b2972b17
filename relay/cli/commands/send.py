"""`relay send`: deliveries as the vendor would send them, authenticated, over real HTTP."""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
from multidict import CIMultiDict

from relay import vendors
from relay.cli.altered_body import Assignment, assign, move_times, read_assignment
from relay.cli.client import Call, CallResult, post_all
from relay.cli.completing import complete_source_or_all
from relay.cli.input_file import read_body
from relay.cli.main import json_option
from relay.cli.named_source import named_source
from relay.cli.output import show_json, show_row, show_table
from relay.configured import sources_of
from relay.errors import Malformed, RelayError
from relay.events.event import NormalizedEvent
from relay.ingress.processing import Source
from relay.process.command import config_option, run
from relay.settings import load
from relay.vendors.kit.request import Request

_EVERY_SOURCE = "all"
_A_FILE_OF_YOUR_OWN = "Send a --file of your own."
_MAX_REPEATS = 1_000_000


class _AssignmentType(click.ParamType[Assignment]):
    name = "assignment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Assignment:
        if isinstance(value, Assignment):
            return value
        try:
            return read_assignment(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("send")
@config_option
@click.argument("source_name", metavar="SOURCE", shell_complete=complete_source_or_all)
@click.argument("names", metavar="[SAMPLE]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Send every documented sample.")
@click.option("--handshake", "is_handshake", is_flag=True, help="Send the handshake, first.")
@click.option("--url", help="The relay; else the one of the settings, on this machine.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Send this file's bytes (or `-`).",
)
@click.option(
    "--set",
    "assignments",
    metavar="/POINTER=VALUE",
    type=_AssignmentType(),
    multiple=True,
    help="Put a value, JSON or text, where a JSON pointer into the payload leads. May be repeated.",
)
@click.option("--now", "is_now", is_flag=True, help="Move the vendor's clock in it to now.")
@click.option(
    "--repeat",
    type=click.IntRange(1, _MAX_REPEATS),
    default=1,
    help="Send it all so many times.",
)
@click.option("--rate", type=click.FloatRange(0.001, 10_000), help="Per second, at most.")
@json_option
def command(
    config: Path | None,
    source_name: str,
    names: tuple[str, ...],
    url: str | None,
    file: Path | None,
    *,
    assignments: tuple[Assignment, ...],
    repeat: int,
    rate: float | None,
    is_now: bool,
    is_all: bool,
    is_handshake: bool,
    as_json: bool,
) -> None:
    """Send samples as the vendor would.

    They are posted to SOURCE, signed with its first secret. SAMPLE is a file's name or how it
    begins, such as 02. SOURCE `all` stands for every source. With nothing to send, the samples
    are listed.
    """
    settings = load(config)
    sources = _chosen(sources_of(settings), source_name)
    if not (names or is_all or is_handshake or file):
        listed = list(_listed(sources))
        show_table(("Source", "Sample"), listed)
        hint = "Name some to send, or --all of them." if listed else _A_FILE_OF_YOUR_OWN
        click.echo(hint, err=True)
        return
    if len(sources) > 1 and (names or file):
        raise RelayError("With SOURCE `all`, only --all and --handshake can be sent.")
    makers: list[Callable[[], Call]] = []
    for source in sources.values():
        if is_handshake:
            makers += _handshakes(source, is_required=len(sources) == 1)
        payloads = _samples(source, names, is_all=is_all)
        if file:
            payloads.append((str(file), read_body(file)))
        for name, body in payloads:
            altered = assign(body, assignments) if assignments else body
            makers.append(functools.partial(_call, source, name, altered, is_now=is_now))
    if not makers:
        whose = "any source" if source_name == _EVERY_SOURCE else source_name
        raise RelayError(f"There is nothing of {whose} to send. {_A_FILE_OF_YOUR_OWN}")
    base = url or f"http://127.0.0.1:{settings.ingress.port}"
    show = _show_json if as_json else _show_line
    calls = itertools.chain.from_iterable(itertools.repeat(makers, repeat))
    made, failures = run(post_all(base, calls, show, per_s=rate or math.inf))
    if failures:
        raise RelayError(f"{failures} of {made} deliveries were not accepted.")


def _chosen(sources: Mapping[str, Source], name: str) -> Mapping[str, Source]:
    if name == _EVERY_SOURCE and name not in sources:
        return sources
    return {name: named_source(sources, name)}


def _listed(sources: Mapping[str, Source]) -> Iterator[tuple[str, str]]:
    for name, source in sources.items():
        for sample in vendors.samples(source.origin.vendor):
            yield name, sample.name


def _handshakes(source: Source, *, is_required: bool) -> list[Callable[[], Call]]:
    if _handshake(source):
        return [lambda: cast("Call", _handshake(source))]
    if is_required:
        raise RelayError(f"{source.origin.vendor} makes no handshake.")
    return []


def _handshake(source: Source) -> Call | None:
    vendor, secret = source.vendor, _secret(source)
    try:
        delivery = vendors.handshake(vendor, secret, time.time())
    except ValueError as error:
        raise _unsendable(source, error) from error
    if delivery is None:
        return None
    token = secret if secret and vendors.echoes(vendor) else delivery.expects
    return Call(source=source.origin.source, name="handshake", delivery=delivery, token=token)


def _samples(source: Source, names: Sequence[str], *, is_all: bool) -> list[tuple[str, bytes]]:
    known = {sample.name: sample for sample in vendors.samples(source.origin.vendor)}
    chosen = known if is_all else [_find(name, list(known)) for name in names]
    return [(name, known[name].read_bytes()) for name in chosen]


def _find(wanted: str, names: Sequence[str]) -> str:
    """Return the one sample with this name, with or without its suffix, or with this prefix."""
    exact = [name for name in names if wanted in (name, name.rpartition(".")[0])]
    found = exact or [name for name in names if name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RelayError(f"Several samples begin with {wanted!r}: {', '.join(found)}.")
    if not names:
        raise RelayError(f"There is no sample {wanted!r}, nor any other. {_A_FILE_OF_YOUR_OWN}")
    raise RelayError(f"There is no sample {wanted!r}; there are {', '.join(names)}.")


def _call(source: Source, name: str, body: bytes, *, is_now: bool) -> Call:
    if is_now:
        body = _as_of_now(source, name, body)
    try:
        delivery = vendors.sign(source.vendor, body, _secret(source), time.time())
    except ValueError as error:
        raise _unsendable(source, error) from error
    return Call(source=source.origin.source, name=name, delivery=delivery)


def _as_of_now(source: Source, name: str, body: bytes) -> bytes:
    """Return a payload whose newest event happens now; as it is, and say so, without a clock."""
    now, moved = time.time(), None
    try:
        signed = vendors.sign(source.vendor, body, _secret(source), now)
        request = Request(body=body, headers=CIMultiDict(signed.headers), received_at=now)
        found = vendors.normalize(source.vendor, request)
        moved = move_times(body, [each for each in found if isinstance(each, NormalizedEvent)], now)
    except Malformed:
        pass
    except ValueError as error:
        raise _unsendable(source, error) from error
    if moved is None:
        click.echo(f"relay: no clock is known in {name}; it is sent as it is.", err=True)
    return moved or body


def _unsendable(source: Source, error: ValueError) -> RelayError:
    return RelayError(f"{source.origin.source} can't be sent to: {error}.")


def _secret(source: Source) -> str:
    return next(iter(source.secrets.values), "")


def _show_json(call: Call, result: CallResult) -> None:
    show_json(
        {
            "source": call.source,
            "sample": call.name,
            "status": result.status,
            "outcome": result.outcome,
            "reason": result.reason,
            "ids": result.ids,
            "quarantined": [
                {"reason": reason, "id": element_id} for reason, element_id in result.quarantined
            ],
        }
    )


def _show_line(call: Call, result: CallResult) -> None:
    colour = "green" if result.is_ok else "red"
    outcome = f"{result.outcome} ({result.reason})" if result.reason else result.outcome
    cells = (call.source, call.name, str(result.status), outcome, " ".join(result.ids))
    show_row(*cells, styles=("dim", "", colour, colour))
    for reason, element_id in result.quarantined:
        apart = (call.source, call.name, str(result.status), f"quarantined ({reason})", element_id)
        show_row(*apart, styles=("dim", "", colour, "red"))
