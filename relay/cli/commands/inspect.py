"""`relay inspect`: what would become of a delivery, or of each in a folder. Nothing is sent."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from multidict import CIMultiDict

from relay.cli.completing import complete_source
from relay.cli.dry_run import Inspection, inspect, payloads_in
from relay.cli.input_file import read_body
from relay.cli.main import json_option
from relay.cli.named_source import named_source
from relay.cli.output import printable, show_document, show_json, show_row, show_table
from relay.configured import sources_of
from relay.errors import RelayError
from relay.ingress.processing import ProcessedDelivery, Source
from relay.process.command import config_option
from relay.settings import load
from relay.vendors.kit.request import Request


class _Asked(NamedTuple):
    """What is the same for each file."""

    source: Source
    headers: CIMultiDict[str]
    query: str
    must_authenticate: bool
    limit_bytes: int


def _read_headers(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for value in values:
        name, colon, content = value.partition(":")
        if not (name and colon):
            raise click.BadParameter(f"{value!r} is not 'Name: value'.")
        headers.add(name.strip(), content.strip())
    return headers


@click.command("inspect")
@config_option
@click.argument("source_name", metavar="SOURCE", shell_complete=complete_source)
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    callback=_read_headers,
    help="A header it came with.",
)
@click.option("--query", default="", metavar="STRING", help="The query it came with: a=1&b=2.")
@click.option("--authenticate", is_flag=True, help="Check headers, query and body for a secret.")
@json_option
def command(
    config: Path | None,
    source_name: str,
    path: Path,
    headers: CIMultiDict[str],
    query: str,
    *,
    authenticate: bool,
    as_json: bool,
) -> None:
    """Show what would become of a delivery.

    Its body is the file PATH, or standard input for `-`. Of a folder, a table shows what would
    become of each .json and .txt in it and below, expectations left out. A delivery is taken as
    authenticated unless --authenticate is given. Nothing is stored or sent.
    """
    settings = load(config)
    source = named_source(sources_of(settings), source_name)
    limit_bytes = settings.ingress.body_limit_bytes
    asked = _Asked(source, headers, query, authenticate, limit_bytes)
    if _is_folder(path):
        _inspect_folder(path, asked, as_json=as_json)
        return
    inspection = _inspect(path, asked)
    if as_json:
        show_json(_described(inspection))
    else:
        _show(inspection)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # to read it says why that can't be done


def _inspect(path: Path, asked: _Asked) -> Inspection:
    delivery = Request(
        body=read_body(path, asked.limit_bytes),
        headers=asked.headers,
        query_string=asked.query,
        received_at=time.time(),
    )
    return inspect(delivery, asked.source, must_authenticate=asked.must_authenticate)


# A folder.


def _inspect_folder(folder: Path, asked: _Asked, *, as_json: bool) -> None:
    found: dict[str, Inspection | RelayError] = {}
    for path in payloads_in(folder):
        try:
            found[str(path.relative_to(folder))] = _inspect(path, asked)
        except RelayError as error:
            found[str(path.relative_to(folder))] = error
    if as_json:
        show_json([{"file": name, **_described_or_refused(each)} for name, each in found.items()])
    else:
        trusted = [each for each in found.values() if isinstance(each, Inspection)]
        if not all(each.is_authenticated for each in trusted):
            click.echo("Taken as authenticated where no secret was found.", err=True)
        titles = ("File", "Verdict", "Type", "Routing key", "ID", "Note")
        show_table(titles, [(name, *row) for name, each in found.items() for row in _rows(each)])
    refused = sum(isinstance(each, RelayError) for each in found.values())
    if refused:
        raise RelayError(f"{refused} of {len(found)} files would be refused, or can't be read.")


def _described_or_refused(found: Inspection | RelayError) -> dict[str, object]:
    if isinstance(found, RelayError):
        return {"status": "refused", "reason": str(found)}
    return _described(found)


def _rows(found: Inspection | RelayError) -> Iterator[tuple[str, ...]]:
    """Yield verdict, type, routing key, id and a note: for each event, or once if there is none."""
    if isinstance(found, RelayError):
        yield "refused", "", "", "", str(found)
        return
    processed = found.processed
    for event_id in processed.ignored:
        yield "ignored", "", "", event_id, ""
    if not processed.messages and not processed.ignored:
        yield found.status, "", "", "", _handshake_note(processed)
    types, reasons = iter(processed.types), iter(_reasons(processed))
    for message in processed.messages:
        if message.is_quarantined:
            yield "quarantined", "", message.routing_key, message.id, next(reasons)
        else:
            note = _id_note(message.id, found)
            yield "accepted", next(types), message.routing_key, message.id, note


def _reasons(processed: ProcessedDelivery) -> tuple[str, ...]:
    return (processed.reason,) if processed.reason else processed.reasons


def _handshake_note(processed: ProcessedDelivery) -> str:
    if processed.answer:
        return f"a question; the answer is {processed.answer.content_type}"
    return "the token is read back" if processed.echo else "a test call without events"


def _id_note(event_id: str, inspection: Inspection) -> str:
    return "a new id per delivery" if event_id in inspection.new_ids else ""


# One delivery.


def _described(inspection: Inspection) -> dict[str, object]:
    described: dict[str, object] = {
        "status": inspection.status,
        "authenticated": inspection.is_authenticated,
    }
    messages = inspection.processed.messages
    match inspection.status:
        case "quarantined":
            described |= {"reason": inspection.processed.reason, "id": messages[0].id}
            described |= {"routing_key": messages[0].routing_key}
            if inspection.is_redacting:
                described |= _kept(inspection.processed, messages[0].body)
        case "accepted":
            described["events"] = [
                {
                    "id": message.id,
                    "new_id_per_delivery": message.id in inspection.new_ids,
                    "routing_key": message.routing_key,
                    "event": json.loads(message.body),
                }
                for message in messages
                if not message.is_quarantined
            ]
            if inspection.processed.ignored:
                described["ignored"] = list(inspection.processed.ignored)
            if inspection.processed.reasons:
                described["quarantined"] = _quarantined_alone(inspection.processed)
    return described


def _kept(processed: ProcessedDelivery, body: bytes) -> dict[str, object]:
    """Return what would be kept of a delivery, which its source's `redact` may change."""
    kept: dict[str, object] = {"body": body.decode(errors="replace")}
    return kept | ({"unredacted": True} if processed.is_unredacted else {})


def _quarantined_alone(processed: ProcessedDelivery) -> list[dict[str, str]]:
    messages = [message for message in processed.messages if message.is_quarantined]
    return [
        {"reason": reason, "id": message.id, "routing_key": message.routing_key}
        for reason, message in zip(processed.reasons, messages, strict=True)
    ]


def _show(inspection: Inspection) -> None:
    if not inspection.is_authenticated:
        click.echo("Taken as authenticated, though no secret was found in it.", err=True)
    processed = inspection.processed
    if processed.is_unredacted:
        click.echo("What is quarantined can't be redacted; see `redact`.", err=True)
    for event_id in processed.ignored:
        show_row("ignored", event_id, styles=("yellow",))
    match inspection.status:
        case "quarantined":
            message = processed.messages[0]
            cells = (str(processed.reason), message.id, message.routing_key)
            show_row("quarantined", *cells, styles=("red",))
            if inspection.is_redacting:
                click.echo(printable(message.body.decode(errors="backslashreplace"), keep="\n\t"))
        case "handshake":
            show_row("handshake", _handshake_note(processed), styles=("green",))
        case _:
            reasons = iter(processed.reasons)
            for message in processed.messages:
                if message.is_quarantined:
                    cells = (next(reasons), message.id, message.routing_key)
                    show_row("quarantined", *cells, styles=("red",))
                    continue
                note = _id_note(message.id, inspection)
                row = ("accepted", message.id, message.routing_key, *([note] if note else []))
                show_row(*row, styles=("green", "", "cyan", "yellow"))
                show_document(json.loads(message.body))
