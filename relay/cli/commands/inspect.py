"""`relay inspect`: what would become of a delivery. Nothing is stored or sent."""

import json
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click
from multidict import CIMultiDict

from relay.cli.input_file import read_body
from relay.cli.main import json_option
from relay.cli.output import show_document, show_json, show_row
from relay.configured import sources_of
from relay.errors import RelayError, Unauthenticated
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.process.command import config_option
from relay.settings import load
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inspection:
    """What would become of a delivery.

    Args:
        processed: its events, or why it would be quarantined.
        new_ids: those that a resend would not have.
        is_authenticated: whether a secret was found in it.
    """

    processed: ProcessedDelivery
    new_ids: frozenset[str]
    is_authenticated: bool

    @property
    def status(self) -> str:
        """What would become of it, in one word."""
        if self.processed.reason:
            return "quarantined"
        return "accepted" if self.processed.messages else "handshake"


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
@click.argument("source_name", metavar="SOURCE")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
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
    file: Path,
    headers: CIMultiDict[str],
    query: str,
    *,
    authenticate: bool,
    as_json: bool,
) -> None:
    """Show what would become of a delivery.

    Its body is in FILE, or standard input for `-`. It is taken as authenticated unless
    --authenticate is given. Nothing is stored or sent.
    """
    settings = load(config)
    sources = sources_of(settings)
    if source_name not in sources:
        raise RelayError(f"There is no source {source_name!r}; there are {', '.join(sources)}.")
    body = read_body(file)
    if len(body) > settings.ingress.body_limit_bytes:
        raise RelayError(
            f"It would be refused with 413: {len(body)} bytes are more than "
            f"ingress.body_limit_bytes = {settings.ingress.body_limit_bytes}."
        )
    delivery = Request(body=body, headers=headers, query_string=query, received_at=time.time())
    inspection = _inspect(delivery, sources[source_name], must_authenticate=authenticate)
    if as_json:
        show_json(_described(inspection))
    else:
        _show(inspection)


def _inspect(delivery: Request, source: Source, *, must_authenticate: bool) -> _Inspection:
    is_authenticated = True
    try:
        source.vendor.authenticate(delivery, source.secrets)
    except Unauthenticated as error:
        if must_authenticate:
            raise RelayError(f"It would be refused with 401: {error}.") from error
        source, is_authenticated = replace(source, secrets=Secrets(())), False
    now = time.time()
    processed, resent = (
        process_delivery(delivery, source, now, secrets.token_hex(16)) for _ in range(2)
    )
    new_ids = {message.id for message in processed.messages}
    new_ids -= {message.id for message in resent.messages}
    return _Inspection(
        processed=processed, new_ids=frozenset(new_ids), is_authenticated=is_authenticated
    )


def _described(inspection: _Inspection) -> dict[str, object]:
    described: dict[str, object] = {
        "status": inspection.status,
        "authenticated": inspection.is_authenticated,
    }
    messages = inspection.processed.messages
    match inspection.status:
        case "quarantined":
            described |= {"reason": inspection.processed.reason, "id": messages[0].id}
            described |= {"routing_key": messages[0].routing_key}
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
            if inspection.processed.reasons:
                described["quarantined"] = _quarantined_alone(inspection.processed)
    return described


def _quarantined_alone(processed: ProcessedDelivery) -> list[dict[str, str]]:
    messages = [message for message in processed.messages if message.is_quarantined]
    return [
        {"reason": reason, "id": message.id, "routing_key": message.routing_key}
        for reason, message in zip(processed.reasons, messages, strict=True)
    ]


def _show(inspection: _Inspection) -> None:
    if not inspection.is_authenticated:
        click.echo("Taken as authenticated, though no secret was found in it.", err=True)
    processed = inspection.processed
    match inspection.status:
        case "quarantined":
            message = processed.messages[0]
            cells = (str(processed.reason), message.id, message.routing_key)
            show_row("quarantined", *cells, styles=("red",))
        case "handshake":
            what = "the token is read back" if processed.echo else "a test call without events"
            if processed.answer:
                what = f"a question; the answer is {processed.answer.content_type}"
            show_row("handshake", what, styles=("green",))
        case _:
            reasons = iter(processed.reasons)
            for message in processed.messages:
                if message.is_quarantined:
                    cells = (next(reasons), message.id, message.routing_key)
                    show_row("quarantined", *cells, styles=("red",))
                    continue
                note = ["a new id per delivery"] if message.id in inspection.new_ids else []
                row = ("accepted", message.id, message.routing_key, *note)
                show_row(*row, styles=("green", "", "cyan", "yellow"))
                show_document(json.loads(message.body))
