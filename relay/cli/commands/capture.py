"""`relay capture`: whole requests to one source, of a running relay, for a while."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from relay.cli.admin_port import admin_url
from relay.cli.client import admin_document
from relay.cli.main import json_option
from relay.cli.output import printable, show_json
from relay.cli.private_file import write_new
from relay.errors import RelayError
from relay.observability.capture import MAX_FOR_S
from relay.process import tasks
from relay.process.command import config_option, run
from relay.vendors.kit.fields import mapping, sequence

_PATH = "/capture"
_EVERY_S = 1.0
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}
_MAX_DOCUMENT_BYTES = 32 * 1024 * 1024


def _duration(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6})([smh]?)", value)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= MAX_FOR_S:
        raise click.BadParameter(f"{value!r} is no time such as 30s or 10m, of at most 1h.")
    return float(seconds)


@click.command("capture")
@config_option
@click.argument("source", metavar="SOURCE")
@click.option(
    "--for", "for_s", default="10m", show_default=True, callback=_duration, help="How long."
)
@click.option("--refused", is_flag=True, help="Only requests that were refused.")
@click.option(
    "--save",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the body of each to NN.json, and its head to NN.http.",
)
@click.option("--url", help="The receiver's admin port; else the one of the settings.")
@json_option
def command(
    *,
    config: Path | None,
    source: str,
    for_s: float,
    refused: bool,
    directory: Path | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Show whole requests to SOURCE as they come, without live secrets.

    A receiver keeps at most 100 requests and 10 MiB, in memory, until this ends: after its time,
    when that is reached, or by Ctrl-C. That it was switched on and off is in its log.
    """
    order = {"source": source, "for_s": for_s, "refused": refused}
    run(_capture(url or admin_url(config), order, directory, as_json=as_json))


async def _capture(
    url: str, order: Mapping[str, Any], directory: Path | None, *, as_json: bool
) -> None:
    await _ask(url, "POST", document=order)
    stop = tasks.stop_signal()
    click.echo(f"Capturing requests to {order['source']} for {order['for_s']:g} s.", err=True)
    written, cursor, is_active = 0, "", True
    try:
        while is_active:
            await tasks.is_set_within(stop, _EVERY_S)
            page = await _ask(url, "GET", f"?after={cursor}" if cursor else "")
            cursor = str(page["cursor"])
            for request in sequence(page["requests"]):
                written += 1
                _show(mapping(request), written, directory, as_json=as_json)
            is_active = page["active"] is True and not stop.is_set()
    finally:
        await _ask(url, "DELETE")
    click.echo(f"{written} captured.", err=True)


async def _ask(
    url: str, method: str, query: str = "", document: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    answer = mapping(
        await admin_document(
            url, _PATH + query, method, document=document, max_bytes=_MAX_DOCUMENT_BYTES
        )
    )
    if not {"active", "cursor", "requests"} <= set(answer):
        raise RelayError(f"What {url} answers is no capture.")
    return answer


def _show(
    request: Mapping[str, Any], number: int, directory: Path | None, *, as_json: bool
) -> None:
    body = base64.b64decode(request["body"])
    lines = [f"{request['method']} {request['target']} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    head = "".join([f"{printable(line)}\n" for line in lines])
    if directory:
        file = directory / f"{number:02}.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            while file.exists():  # somebody's sample
                number += 1
                file = directory / f"{number:02}.json"
            write_new(file, body)
            write_new(file.with_suffix(".http"), head.encode())
        except OSError as error:
            raise RelayError(f"{file} can't be written: {error.strerror}.") from error
        click.echo(f"{file}\t{request['status']}\t{request['request_id']}")
    elif as_json:
        show_json({**request, "body": body.decode(errors="replace")})
    else:
        click.echo(f"# {request['time']} {request['request_id']}: {request['status']}")
        click.echo(head)
        click.echo(printable(body.decode(errors="replace"), keep="\n"))
