"""Bodies of few bytes per thing, so that each byte makes a hundred in memory."""

import gzip
import itertools
import string
from collections.abc import Iterator

from relay.events.event import MAX_EVENTS
from tests.hostile.attack import VENDORS, Attack, Shot, accepted, forged, shot, signed
from tests.hostile.bodies import BODY_LIMIT, MILLION, to_all

_LETTERS = string.digits + string.ascii_letters
_EVENT = b'{"event":{"type":"a"}}'


def _many_members() -> Iterator[Shot]:
    names = itertools.islice(itertools.product(_LETTERS, repeat=4), 500_000)
    distinct = b"{%b}" % b",".join(b'"%b":0' % "".join(name).encode() for name in names)
    equal = b"{%b}" % b",".join([b'"":0'] * MILLION)
    yield from to_all([("500,000 names", distinct), ("a million times one name", equal)])
    variables = b'{"events":[{"event":{"type":"variables","payload":{"variables":%b}}}]}' % distinct
    yield accepted("swiftsell", "500,000 variables", variables)
    beyond = b"{%b}" % b",".join(b'"%d":0' % number for number in range(MILLION))
    yield shot("a million names", signed("swiftsell", beyond), 413)


def _array(element: bytes, count: int = MILLION) -> bytes:
    """Return a delivery with so many events, or with as many as there may be bytes."""
    fitting = (BODY_LIMIT - 100) // (len(element) + 1)
    return b'{"events":[%b]}' % b",".join([element] * min(count, fitting))


def _many_events() -> Iterator[Shot]:
    bodies = {
        "numbers": _array(b"1"),
        "objects": _array(b"{}"),
        "events": _array(_EVENT),
    }
    for what, body in bodies.items():
        yield accepted("swiftsell", what, body)
        yield forged("swiftsell", what, body)
    packed = gzip.compress(bodies["events"], 1)
    yield accepted("supporthunt", "gzipped events", packed, {"Content-Encoding": "gzip"})
    yield accepted("supporthunt", "events twice", bodies["objects"][:-1] + b',"events":[1]}')
    yield accepted("swiftsell", "as many as may be", _array(_EVENT, MAX_EVENTS))
    yield accepted("swiftsell", "one event more", _array(_EVENT, MAX_EVENTS + 1))
    tokens = b'{"token":"",' + _EVENT[1:]
    yield accepted("swiftsell", "events with a token", _array(tokens, MAX_EVENTS // 10))
    parts = b'{"type":"message","event":"push","entity":{"files":[%b],"blocks":[%b]}}'
    halves = [b",".join([element] * 600_000) for element in (b"{}", b"[]")]
    yield accepted("channeltalk", "files and blocks", parts % tuple(halves))


def _forms() -> Iterator[Shot]:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    parts = {"Content-Type": "multipart/form-data; boundary=a"}
    for what, headers, body in (
        ("a million fields", form, b"&".join([b"a=1"] * MILLION)),
        ("a million empty fields", form, b"&" * MILLION),
        ("60,000 fields", form, b"&" * 60_000),
        ("a million parts", parts, b"--a" * MILLION),
        ("20,000 parts", parts, b"--a" * 20_000),
        ("a part with a long head", parts, b"--a" + b"content-disposition: " * 3000),
        ("percent signs", form, b"%" * MILLION),
    ):
        for vendor in VENDORS:
            yield accepted(vendor, what, body, headers)
            yield forged(vendor, what, body, headers)


ATTACKS = (
    Attack(name="many-members", shots=_many_members),
    Attack(name="many-events", shots=_many_events),
    Attack(name="forms", shots=_forms),
)
