"""Requests whose framing is broken, ambiguous or larger than any honest one.

Whoever reads such a request otherwise than the proxy in front can be made to take its body for a
further request, "smuggling" it in. So all of it is refused and the connection closed (RFC 9112,
11.2).
"""

import itertools
from collections.abc import Iterator

from tests.hostile.attack import CUT, Attack, Shot, request, shot
from tests.support.relay_process import SECRET

_HEAD = f"POST /in/swiftsell HTTP/1.1\r\nHost: relay\r\nAuthorization: {SECRET}\r\n".encode()
_SMUGGLED = request("/in/smuggled")
_CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"

_LENGTHS = {
    "Content-Length and Transfer-Encoding": b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding and Content-Length": b"Transfer-Encoding: chunked\r\nContent-Length: 2",
    "two Content-Lengths": b"Content-Length: 2\r\nContent-Length: 0",
    "two equal Content-Lengths": b"Content-Length: 2\r\nContent-Length: 2",
    "a list of lengths": b"Content-Length: 2, 0",
    "a signed length": b"Content-Length: +2",
    "a negative length": b"Content-Length: -2",
    "a hexadecimal length": b"Content-Length: 0x2",
    "a length with a blank in it": b"Content-Length: 2 0",
    "a length beyond 64 bits": b"Content-Length: 18446744073709551618",
    "no length": b"Content-Length:",
    "xchunked": b"Transfer-Encoding: xchunked",
    "identity": b"Transfer-Encoding: identity",
    "chunked, identity": b"Transfer-Encoding: chunked, identity",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "two Transfer-Encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "a vertical tab before chunked": b"Transfer-Encoding: \x0bchunked",
    "quoted chunked": b'Transfer-Encoding: "chunked"',
    "a blank before the colon": b"Content-Length : 2",
    "a tab before the colon": b"Transfer-Encoding\t: chunked",
    "a folded line": b"Content-Length: 2\r\nX-Folded: a\r\n Transfer-Encoding: chunked",
    "a folded length": b"Content-Length:\r\n 2",
    "a line that begins with a blank": b" Content-Length: 2",
    "a line without a colon": b"Content-Length: 2\r\nTransfer-Encoding",
    "a line feed in a value": b"X: a\nTransfer-Encoding: chunked",
    "a carriage return in a value": b"X: a\rTransfer-Encoding: chunked",
    "NUL in a value": b"Content-Length: 2\r\nX: a\0b",
    "NUL in a name": b"Content-Length: 2\r\nX\0: a",
    "bytes beyond ASCII in a name": b"Content-Length: 2\r\nX\xff: a",
}

_CHUNK_SIZES = {
    "0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "an underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "a blank in front": b" 2\r\n{}\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "no line end behind the data": b"2\r\n{}0\r\n\r\n",
    "a chunk longer than its size": b"2\r\n{}{}\r\n0\r\n\r\n",
    "a bare line feed behind the size": b"2\n{}\r\n0\r\n\r\n",
    "a bare line feed behind the data": b"2\r\n{}\n0\r\n\r\n",
    "a bare line feed in an extension": b"2;a\n{}\r\n0\r\n\r\n",
    "a trailer without a colon": b"2\r\n{}\r\n0\r\nX\r\n\r\n",
}

_NO_HTTP = {
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"POST /in/swiftsell\r\n\r\n",
    "HTTP/1.2.3": b"POST /in/swiftsell HTTP/1.2.3\r\nHost: relay\r\n\r\n",
    "bare line feeds": b"POST /in/swiftsell HTTP/1.1\nHost: relay\nContent-Length: 2\n\n{}",
    "zeros": bytes(1000),
    "SMTP": b"EHLO relay\r\nMAIL FROM:<a@example.com>\r\n",
    "AMQP": b"AMQP\x00\x00\x09\x01",
    "a method nobody knows": b"STEAL /in/swiftsell HTTP/1.1\r\nHost: relay\r\n\r\n",
}

_LARGE = 64 * 1024
_MANY = 100_000


def _smuggling() -> Iterator[Shot]:
    for what, lines in _LENGTHS.items():
        wire = _HEAD + lines + b"\r\n\r\n" + _CHUNKS + _SMUGGLED
        yield shot(what, wire, 400, closes=True)


def _chunk_sizes() -> Iterator[Shot]:
    for what, chunks in _CHUNK_SIZES.items():
        yield shot(what, _HEAD + _CHUNKED + b"\r\n" + chunks + _SMUGGLED, 400, closes=True)


def _no_http() -> Iterator[Shot]:
    for what, wire in _NO_HTTP.items():
        yield shot(what, wire, 400, closes=True)


def _oversized_heads() -> Iterator[Shot]:
    """Heads that are cut off while they arrive may go unanswered: a reset overtakes the answer."""
    large = b"a" * _LARGE
    wires = {
        "a value of 64 KiB": _HEAD + b"X: %b\r\n\r\n" % large,
        "a name of 64 KiB": _HEAD + b"%b: x\r\n\r\n" % large,
        "a path of 64 KiB": request("/in/" + "a" * _LARGE),
        "a query of 64 KiB": request("/in/swiftsell?token=" + "a" * _LARGE),
        "a method of 64 KiB": large + b" /in/swiftsell HTTP/1.1\r\n\r\n",
        "1,000 headers": _HEAD
        + b"".join(b"X-%d: x\r\n" % number for number in range(1000))
        + b"\r\n",
        "1,000 equal headers": _HEAD + b"X: x\r\n" * 1000 + b"\r\n",
    }
    for what, wire in wires.items():
        yield shot(what, wire, 400, 414, 431, CUT, closes=True)
    endless = {
        "endless headers": [_HEAD, *[b"X: x\r\n" * 1000] * _MANY],
        "an endless header": [_HEAD, b"X: ", *[large] * _MANY],
        "an endless path": [b"POST /in/", *[large] * _MANY],
    }
    for what, pieces in endless.items():
        yield Shot(
            what=what, pieces=pieces, statuses=frozenset({400, 408, 414, 431, CUT}), closes=True
        )


def _endless_chunks() -> Iterator[Shot]:
    start = _HEAD + _CHUNKED + b"\r\n"
    declared = _HEAD + b"Content-Length: 1000000000000\r\n\r\n"
    for what, first, piece, statuses in (
        ("a declared length", declared, bytes(_LARGE), {413}),
        ("chunks of 64 KiB", start, b"10000\r\n%b\r\n" % bytes(_LARGE), {413}),
        ("chunks of one byte", start, b"1\r\na\r\n" * 10_000, {400, CUT}),
    ):
        pieces = itertools.chain([first], itertools.repeat(piece))
        yield Shot(what=what, pieces=pieces, statuses=frozenset(statuses))


def _endless_framing() -> Iterator[Shot]:
    """Whatever bounds it, the body it belongs to never comes."""
    start = _HEAD + _CHUNKED + b"\r\n"
    for what, first, piece in (
        ("an endless chunk size", b"", b"0" * _LARGE),
        ("an endless chunk extension", b"2;", b"a" * _LARGE),
        ("endless trailers", b"2\r\n{}\r\n0\r\n", b"X: x\r\n" * 1000),
        ("an endless trailer", b"2\r\n{}\r\n0\r\nX: ", b"a" * _LARGE),
    ):
        pieces = itertools.chain([start, first], itertools.repeat(piece))
        yield Shot(what=what, pieces=pieces, statuses=frozenset({400, 408, 413, 431, CUT}))


ATTACKS = (
    Attack(name="smuggling", shots=_smuggling),
    Attack(name="chunk-sizes", shots=_chunk_sizes),
    Attack(name="no-http", shots=_no_http),
    Attack(name="oversized-heads", shots=_oversized_heads),
    Attack(name="endless-chunks", shots=_endless_chunks),
    Attack(name="endless-framing", shots=_endless_framing),
)
