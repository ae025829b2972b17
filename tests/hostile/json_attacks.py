"""JSON that no parser likes, and what only looks like JSON."""

import json
from collections.abc import Iterator

from relay import vendors
from tests.hostile.attack import VENDORS, Attack, Shot, accepted, forged
from tests.hostile.bodies import BODY_LIMIT, FIELDS, MILLION, filled, to_all
from tests.support.relay_process import SECRET

_DEPTH = 100_000


def _deep() -> Iterator[Shot]:
    arrays = b"[" * _DEPTH + b"]" * _DEPTH
    objects = b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH
    unclosed = b"[" * _DEPTH
    yield from to_all([("arrays", arrays), ("objects", objects), ("unclosed", unclosed)])
    for what, value in (("deep", arrays), ("too deep", b"[" * 201 + b"]" * 201)):
        yield from filled(what, value)
    yield from to_all([("brackets in a text", json.dumps("[" * MILLION).encode())])


def _numbers() -> Iterator[Shot]:
    values = {
        "100,000 digits": b"7" * 100_000,
        "a fraction of 100,000 digits": b"0." + b"7" * 100_000,
        "1e400": b"1e400",
        "-1e400": b"-1e400",
        "1e-400": b"1e-400",
        "a huge exponent": b"1e" + b"9" * 1000,
        "beyond 64 bits": b"18446744073709551616",
        "minus zero": b"-0",
        "NaN": b"NaN",
        "Infinity": b"-Infinity",
        "a time no calendar has": b"9223372036854775807",
        "digits in a text": b'"%b"' % (b"9" * 100_000),
    }
    for what, value in values.items():
        yield from filled(what, value)
    digits = b"[%b]" % b",".join([b"1e-7"] * 100_000)  # slow to write as JavaScript would
    yield from to_all([("numbers", digits), ("a number of 5 MiB", b"7" * (BODY_LIMIT - 100))])


def _encodings() -> Iterator[Shot]:
    for vendor in VENDORS:
        text = vendors.samples(vendor)[0].read_bytes()
        for what, body in {
            "UTF-16": text.decode().encode("utf-16"),
            "UTF-16 without a mark": text.decode().encode("utf-16-be"),
            "UTF-32": text.decode().encode("utf-32"),
            "a byte order mark": b"\xef\xbb\xbf" + text,
            "two byte order marks": b"\xef\xbb\xbf" * 2 + text,
            "NUL around": b"\0" + text + b"\0",
            "form feeds around": b"\f" + text + b"\f",
        }.items():
            yield accepted(vendor, what, body)
    for what, value in {
        "no UTF-8": b'"\xff\xfe\x80"',
        "overlong UTF-8": b'"\xc0\xaf"',
        "a surrogate in UTF-8": b'"\xed\xa0\x80"',
        "cut UTF-8": b'"\xf0\x9f\x98"',
        "beyond Unicode": b'"\xf4\x90\x80\x80"',
    }.items():
        yield from filled(what, value)


def _duplicates() -> Iterator[Shot]:
    event = b'{"event":{"type":"a","type":"b"},"event":{"type":"c"}}'
    yield accepted("swiftsell", "events twice", b'{"events":[%b],"events":[]}' % event)
    yield accepted(
        "swiftsell", "events, spelled twice", b'{"events":[%b],"\\u0065vents":[]}' % event
    )
    yield accepted("swiftsell", "members twice", b'{"events":[%b]}' % event)
    yield accepted(
        "swiftsell", "events 10,000 times", b"{%b}" % b",".join([b'"events":[1]'] * 10_000)
    )
    yield forged(
        "swiftsell", "token, then another", b'{"token":"%b","token":"x"}' % SECRET.encode()
    )
    for vendor, template in FIELDS.items():
        body = template.replace(b"VALUE", b'"1"')
        yield accepted(vendor, "all twice", b"{%b,%b" % (body[1:-1], body[1:]))


ATTACKS = (
    Attack(name="deep-json", shots=_deep),
    Attack(name="numbers", shots=_numbers),
    Attack(name="encodings", shots=_encodings),
    Attack(name="duplicate-names", shots=_duplicates),
)
