"""What is to hold of every delivery, whoever sent it: targets that go through `understand`.

Twice for each vendor: as a stranger sends it, and with the same bytes signed.
"""

import json
import re
import struct
import zlib
from dataclasses import replace
from typing import Any, get_args

import orjson
from pamqp import header

from relay import vendors
from relay.errors import Unauthenticated
from relay.events.event import TYPES
from relay.events.message import Message, Origin
from relay.ingress import http_response
from relay.ingress.processing import EchoStyle, ProcessedDelivery, Source, process_delivery
from relay.ingress.safe_errors import safe_field_names
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.fuzz import delivered, spelling

RECEIVED_AT = 1_700_000_000.25
DELIVERY_ID = "d1"
_MAX_HEADER_BYTES = 131_072 - 20  # of the frame RabbitMQ proposes; a content header can't be split
_ROUTING_KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_WITH_IDS = {"line", "livechat", "meta", "zendesk"}
"""Vendors that give each event of a delivery an id: two with the same one are one occurrence."""
_SECRET_MEMBERS = {"livechat": "secret_key"}
"""Members of a delivery that prove the sender, and are in nothing that is kept."""


def source_of(name: str) -> Source:
    """Return a source of a vendor with live secrets."""
    return Source(
        origin=Origin(vendor=name, source="acme"),
        vendor=vendors.discover()[name],
        secrets=Secrets(delivered.LIVE),
    )


def check_strangers(data: bytes, source: Source) -> None:
    """Whoever knows no secret is refused, and learns nothing."""
    request = delivered.read(data)
    try:
        found = process_delivery(request, source, RECEIVED_AT, DELIVERY_ID)
    except Unauthenticated as error:
        check_silence(http_response.problem_response(error, "1").body)
        orjson.dumps(safe_field_names(request, source.secrets.values))
        return

    assert proves_itself(request, source), "let in without a secret"
    check_understood(found, request, source)


def check_signed(data: bytes, source: Source) -> None:
    """Whatever someone who knows a secret sends is kept, as it was sent."""
    sent = delivered.read(data)
    request = delivered.signed(sent, source.vendor)
    if source.origin.vendor in _SECRET_MEMBERS and request.body == sent.body:
        return  # no object, so there is no place in it for a secret

    found = process_delivery(request, source, RECEIVED_AT, DELIVERY_ID)

    check_understood(found, request, source)
    if zlib.crc32(data) % 8:
        return  # what follows costs as much as all of the above, and needs fewer examples
    again = process_delivery(request, source, RECEIVED_AT + 1, DELIVERY_ID)
    assert ids_of(again) == ids_of(found)
    elsewhere = replace(source, origin=Origin(vendor=source.origin.vendor, source="other"))
    there = process_delivery(request, elsewhere, RECEIVED_AT, DELIVERY_ID)
    assert not {*ids_of(there)} & {*ids_of(found)}


def ids_of(found: ProcessedDelivery) -> list[str]:
    return [message.id for message in found.messages]


def proves_itself(request: Request, source: Source) -> bool:
    """Return whether someone who knows a secret made the request, or one that says the same."""
    for delivery in delivered.deliveries(source.origin.vendor):
        signed = {name: text for name, text in delivery.headers.items() if "-signature" in name}
        if signed and all(
            request.headers.get(name, "").lower() == text.lower() for name, text in signed.items()
        ):
            return request.body == delivery.body or as_javascript(request.body) == as_javascript(
                delivery.body
            )
    parts = [request.query_string, request.path_secret or "", *request.headers.values()]
    known = [request.body, *(part.encode(errors="replace") for part in parts)]
    return any(spelling.holds(part, secret) for part in known for secret in delivered.LIVE)


def as_javascript(body: bytes) -> Any:
    """Return what JSON.parse reads, to which all numbers are floats."""
    return json.loads(body.removeprefix(b"\xef\xbb\xbf"), parse_int=float)


def check_understood(found: ProcessedDelivery, request: Request, source: Source) -> None:
    assert found.failure is None, found.failure
    assert found.echo is None or found.echo.token in delivered.LIVE
    ids = ids_of(found)
    if source.origin.vendor not in _WITH_IDS:
        assert len(set(ids)) == len(ids)
    for message in found.messages:
        check_message(message)
    if found.reason:
        (message,) = found.messages
        check_quarantined(message, request)
    else:
        events = [message for message in found.messages if not message.is_quarantined]
        assert len(found.types) == len(events)
        assert len(found.reasons) == len(found.messages) - len(events)
        for message in events:
            check_document(message, source)
        if not found.reasons and not any(b'"rawrepaired":' in event.body for event in events):
            check_raw(found, request, source)
    for style in get_args(EchoStyle):
        answer = http_response.accepted_response(found, style)
        wire = http_response.encode(answer, int(RECEIVED_AT))
        assert wire.endswith(b"\r\n\r\n" + answer.body)
        if not found.echo:
            check_silence(wire)


def check_silence(answer: bytes) -> None:
    assert not any(spelling.holds(answer, secret) for secret in delivered.LIVE)


def check_message(message: Message) -> None:
    """What the broker takes: AMQP 0-9-1, 4.2.5."""
    assert re.fullmatch("[0-9a-f]{32}", message.id)
    assert _ROUTING_KEY.fullmatch(message.routing_key)
    assert len(message.routing_key) <= 255
    assert len(message.properties) <= _MAX_HEADER_BYTES
    frame = header.ContentHeader()
    frame.unmarshal(struct.pack(">HHQ", 60, 0, 0) + message.properties)
    properties = frame.properties
    assert properties.message_id == message.id
    check_table({**properties.headers, "content-type": properties.content_type})


def check_table(table: dict[str, Any]) -> None:
    for name, value in table.items():
        if isinstance(value, dict):
            check_table(value)
            continue
        assert not set("\r\n\0") & {*name, *value}
        assert not any(secret in value for secret in delivered.LIVE)


def check_quarantined(message: Message, request: Request) -> None:
    assert message.is_quarantined
    assert not any(spelling.holds(message.body, secret) for secret in delivered.LIVE)
    if not set(b"\\%+") & {*request.body} and not any(
        secret.encode() in request.body for secret in delivered.LIVE
    ):
        assert message.body == request.body


def check_document(message: Message, source: Source) -> None:
    """A CloudEvent: the JSON format, 2 and 3.1.1."""
    assert not message.is_quarantined
    document = orjson.loads(message.body)
    assert document["specversion"] == "1.0"
    assert document["id"] == message.id
    assert document["source"] == source.origin.path
    assert document["type"] in TYPES
    assert "raw" in document.pop("data")
    for attribute, value in document.items():
        assert re.fullmatch("[a-z0-9]{1,20}", attribute)
        assert value
        assert value.isprintable()


def check_raw(found: ProcessedDelivery, request: Request, source: Source) -> None:
    """`raw` is the element as sent: byte for byte where it is all of the body, else in value."""
    if not found.messages:
        return
    body = request.body.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n")
    if source.origin.vendor in _WITH_IDS:
        document = spelling.exact(body)
        if source.origin.vendor in _SECRET_MEMBERS:
            secret = _SECRET_MEMBERS[source.origin.vendor]
            document = tuple(member for member in document if member[0] != secret)
        within = list(spelling.parts(document))
        assert all(raw_of(message) in within for message in found.messages)
        return
    if not vendors.echoes(source.vendor):
        assert all(message.body.endswith(b'"raw":' + body + b"}}") for message in found.messages)
        return
    sent = [
        tuple(member for member in element if member[0] != "token")
        for element in dict(spelling.exact(body))["events"]
    ]
    assert [raw_of(message) for message in found.messages] == sent


def raw_of(message: Message) -> Any:
    return dict(dict(spelling.exact(message.body))["data"])["raw"]
