"""What is to hold of each thing that reads foreign bytes, one target each. Pure."""

import contextlib
import json
import re
import struct
import zlib
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qsl

import orjson
from pamqp import decode, frame, header
from pamqp.exceptions import UnmarshalingException

from relay.broker import lenient_decoding
from relay.errors import BodyTooLarge, Malformed
from relay.events import redaction, timestamps
from relay.ingress import client_address, http_body
from relay.vendors.kit import forms, javascript, raw_json, request
from relay.vendors.kit.authentication import Secrets
from relay.vendors.parts import wotnot_tokens
from tests.fuzz import delivered, spelling

_LIMIT_BYTES = 2_000
_TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def check_json(data: bytes) -> None:
    """What is JSON to the relay is JSON to everyone, and cutting it up changes no byte."""
    text = raw_json.strip_bom(data)
    try:
        value = raw_json.parse(text)
    except Malformed as error:
        assert error.reason in {"not_json", "too_deep"}  # noqa: PT017  both outcomes are right
        return
    assert depth_of(value) <= raw_json.MAX_DEPTH
    assert orjson.dumps(floated(json.loads(text))) == orjson.dumps(floated(value))
    if isinstance(value, dict):
        cut = raw_json.split_object(text.decode())
        assert [name for name, _ in cut] == [name for name, _ in spelling.exact(text)]
        parts = [part for _, part in cut]
    elif isinstance(value, list):
        parts = raw_json.split_array(text.decode())
        assert [orjson.loads(part) for part in parts] == value
    else:
        return
    place = 0
    for part in parts:
        place = text.decode().index(part, place) + len(part)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(depth_of, inner), default=0)


def floated(value: Any) -> Any:
    """Return a JSON value with JavaScript's floats for numbers, zero without its sign."""
    match value:
        case dict():
            return {name: floated(member) for name, member in value.items()}
        case list():
            return [floated(element) for element in value]
        case bool():
            return value
        case int() | float():
            return float(value) + 0.0
        case _:
            return value


def check_restringified(data: bytes) -> None:
    """JSON.stringify(JSON.parse(text)) says what the text says; once more changes nothing."""
    try:
        text = raw_json.strip_bom(data).decode()
        made = javascript.restringify(text)
    except (ValueError, RecursionError):
        return
    assert javascript.restringify(made) == made
    said = json.loads(text, parse_int=float)
    assert json.dumps(json.loads(made, parse_int=float), sort_keys=True) == json.dumps(
        without_infinities(said), sort_keys=True
    )


def without_infinities(value: Any) -> Any:
    """Return value with null for each number that JSON can't write (ECMA-262, 25.5.2.2)."""
    match value:
        case dict():
            return {name: without_infinities(member) for name, member in value.items()}
        case list():
            return [without_infinities(element) for element in value]
        case float():
            return None if value in {float("inf"), float("-inf")} else value + 0.0
        case _:
            return value


def check_redaction(data: bytes) -> None:
    """No reading of what is left has the secret, which is the first line, in it."""
    first, _, body = data.partition(b"\n")
    secret = first.decode(errors="replace")
    if not secret.isprintable() or len(secret) < 4 or secret in redaction.MARK.decode():
        return
    left = redaction.redact(body, [secret])
    assert not spelling.holds(left, secret)
    assert not redaction.holds_secret(left.decode(errors="surrogateescape"), [secret])
    if not set(b"\\%+") & {*body}:
        assert left == body.replace(secret.encode(), redaction.MARK)


def check_form(data: bytes) -> None:
    """A form has the fields that the standard says, or too many."""
    text = data.decode(errors="surrogateescape")
    fields = forms.form_fields(text)
    assert len(fields) <= forms.MAX_FORM_FIELDS
    assert fields in ([], parse_qsl(text, keep_blank_values=True))
    tokens = request.Request(body=b"", query_string=text).query("token")
    given = [value for name, value in fields if name == "token"]
    assert set(given) <= set(tokens)  # beside them, each with its `+` taken as it stands
    assert len(tokens) <= 2 * len(given)


def check_tokens(data: bytes) -> None:
    """What may be a token is text, of which there is little, and never in the wrong shape."""
    delivery = delivered.read(data)
    in_body = wotnot_tokens.in_body(delivery)
    assert len(in_body) <= 1 + forms.MAX_FORM_FIELDS
    outside = list(wotnot_tokens.outside_body(delivery))
    assert len(outside) <= 8 + forms.MAX_FORM_FIELDS
    for token in [*outside, *(echo.token for echo in in_body)]:
        assert isinstance(token, str)
        Secrets(delivered.LIVE).matches(token)
    for echo in in_body:
        assert echo.shape != "string" or json.loads(raw_json.strip_bom(delivery.body)) == echo.token


def check_decompression(data: bytes) -> None:
    """A body never grows beyond the limit, and is what the standard's reader makes of it."""
    for formats in filter(None, http_body._WINDOW_BITS.values()):
        try:
            plain = http_body._decompress(data, formats, _LIMIT_BYTES)
        except BodyTooLarge:
            continue
        assert len(plain) <= _LIMIT_BYTES or plain == data
        if plain != data:
            assert plain in {*decompressed(data)}


def decompressed(data: bytes) -> list[bytes]:
    """Return what zlib makes of data at once: of gzip, with a zlib head, and bare."""
    found = []
    for window_bits in (31, 15, -15):
        with contextlib.suppress(zlib.error):
            found.append(zlib.decompress(data, window_bits))
    return found


def check_caller(data: bytes) -> None:
    """The caller is who connected, or an address that a trusted proxy wrote, or nobody."""
    remote, *fields = data.decode(errors="surrogateescape").split("\n")
    found = client_address.client_address(remote, fields, _TRUSTED)
    if not client_address.is_within(remote, _TRUSTED):
        assert found == remote
    elif found not in {"", remote}:
        ip_address(found)
        assert found in {str(address).partition("%")[0] for address in addresses(",".join(fields))}
    if fields and client_address.is_within(found, _TRUSTED):  # all of them are proxies of ours
        hops = [hop for hop in ",".join(fields).split(",") if hop.strip()]
        assert all(client_address.is_within(hop.strip(), _TRUSTED) for hop in hops)


def addresses(text: str) -> list[Any]:
    found = []
    for hop in text.split(","):
        with contextlib.suppress(ValueError):
            address = ip_address(hop.strip())
            found.append(getattr(address, "ipv4_mapped", None) or address)
    return found


def check_clocks(data: bytes) -> None:
    """A moment is RFC 3339 in UTC, or it is none."""
    text = data.decode(errors="replace")
    values: list[object] = [text]
    with contextlib.suppress(orjson.JSONDecodeError):
        values.append(orjson.loads(data))
    for value in values:
        for read in (timestamps.from_utc_text, timestamps.from_epoch_s, timestamps.from_epoch_ms):
            moment = read(value)
            if moment is not None:
                assert _MOMENT.fullmatch(moment), moment
                datetime.fromisoformat(moment)


def check_amqp(data: bytes) -> None:
    """Properties that RabbitMQ could have taken are decoded; others are refused, by one error."""
    methods, mapping = dict(decode.METHODS), dict(decode.TABLE_MAPPING)
    lenient_decoding.install()
    try:
        payload = struct.pack(">HHQ", 60, 0, 0) + data
        head = struct.pack(">BHI", 2, 1, len(payload))
        _, _, found = frame.unmarshal(head + payload + b"\xce")
    except UnmarshalingException:
        return
    finally:
        decode.METHODS.update(methods)
        decode.TABLE_MAPPING.update(mapping)
    assert isinstance(found, header.ContentHeader)
    for name in found.properties.headers or {}:
        assert len(name.encode()) <= 255
