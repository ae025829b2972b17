"""All that is fuzzed: what has to hold of any bytes, and bytes to begin with."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relay import vendors
from relay.vendors.kit.request import OutgoingRequest
from tests.fuzz import asking, delivered, listening, reading, understanding

FOUND = Path("tests/fuzz/found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Something that reads foreign bytes.

    Args:
        name: of the target, in the words of the command line.
        check: raises whatever it likes if something does not hold of the bytes.
        seeds: bytes to begin with.
        is_delivery: whether the bytes are a request, which can be changed as one.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    is_delivery: bool = False

    def found(self) -> list[Path]:
        """Return the inputs of which it did not hold once."""
        return sorted(path for path in (FOUND / self.name).glob("*") if path.is_file())


def _deliveries(name: str) -> list[bytes]:
    """Return what a vendor sends, and what someone sends who knows no secret."""
    sample = vendors.samples(name)[0].read_bytes()
    foreign = [vendors.discover()[name].sign(sample, "tok-Live"), OutgoingRequest(body=sample)]
    return [delivered.written(delivery) for delivery in (*delivered.deliveries(name), *foreign)]


def _samples() -> list[bytes]:
    return [sample.read_bytes() for name in vendors.discover() for sample in vendors.samples(name)]


def _of_vendor(name: str) -> Iterator[Target]:
    source, seeds = understanding.source_of(name), partial(_deliveries, name)
    for who, check in (
        ("stranger", understanding.check_strangers),
        ("signed", understanding.check_signed),
    ):
        yield Target(
            name=f"{name}-{who}",
            check=partial(check, source=source),
            seeds=seeds,
            is_delivery=True,
        )


_TOKENS = [
    b"/in/acme/TOKEN\n\n",
    b"/in/acme?token=TOKEN&a=b\n\ntoken=TOKEN",
    b"/in/acme\nauthorization: Bearer TOKEN\n\n",
    b"/in/acme\nx-token: TOKEN\n\n[]",
    b'/in/acme\n\n"TOKEN"',
    b'/in/acme\n\n{"token":"TOKEN"}',
    b'/in/acme\n\n{"events":[{"token":"TOKEN"}]}',
    b"/in/acme\ncontent-type: application/x-www-form-urlencoded\n\ntoken=tok-Live%2B1%2Fx%3D%3D",
    (
        b"/in/acme\ncontent-type: multipart/form-data; boundary=b\n\n--b\r\n"
        b'Content-Disposition: form-data; name="token"\r\n\r\nTOKEN\r\n--b--'
    ),
]
"""The places a token may be in."""

_SPELLINGS = [
    b"secret\nsecret",
    b"a/b c\na%2Fb+c",
    b'"\\/x\n{"a": "\\u0022\\u005C\\/\\u0078"}',
    "é😀é😀\n\\u00e9\\ud83d\\ude00%C3%A9%f0%9f%98%80".encode(),
]
_FORWARDED = [
    b"10.0.0.1\n203.0.113.7, 10.0.0.2",
    b"::ffff:10.0.0.1\n::ffff:203.0.113.7\n2001:db8::1",
    b"10.1.1.1\nunknown, fe80::1%eth0, ,10.0.0.2",
]
_MOMENTS = [b"2023-09-01T14:13:45.503552", b"2023-09-01 14:13:45+05:30", b"1700000000", b"-1"]
_PROPERTIES = [
    b"\x80\x00\x01a",
    b"\x20\x00\x00\x00\x00\x08\x01aS\0\0\0\x01b",
    b"\x20\x00\x00\x00\x00\x0f\x01aA\0\0\0\x09F\0\0\0\x04\x01bT1",
    b"\xff\xfc\x01a\x01b\0\0\0\x04\x01at\x01\x02\x05\x01c\x01d\x01e\x01f"
    + b"\0" * 8
    + b"\x01g" * 4,
]


def _tokens() -> list[bytes]:
    return [delivered.with_token(text) for text in _TOKENS]


def _compressed() -> list[bytes]:
    texts = [b"", b"{}" * 50, *_samples()[:5], b"a" * 100_000]
    return [pack(text) for text in texts for pack in (gzip.compress, zlib.compress, _deflated)]


def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def _connections() -> list[bytes]:
    found = []
    for name in vendors.discover():
        for number, delivery in enumerate(delivered.deliveries(name)):
            packed = OutgoingRequest(
                body=gzip.compress(delivery.body, mtime=0),
                headers={**delivery.headers, "Content-Encoding": "gzip"},
                query=delivery.query,
                path_secret=delivery.path_secret,
            )
            found.append(_request(packed if number % 4 == 1 else delivery, name, number))
    return [*found, found[0] + found[1] + found[2], b"GET / HTTP/1.0\r\n\r\n"]


def _request(delivery: OutgoingRequest, source: str, number: int) -> bytes:
    """Return a delivery as bytes on the wire, every third in chunks, every fifth in two reads."""
    body, framing = delivery.body, b"Content-Length: %d" % len(delivery.body)
    if number % 3 == 2 and body:
        framing = b"Transfer-Encoding: chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if number % 5 == 3:
        body = body[:9] + listening.NEXT_READ + body[9:]
    fields = [f"{name}: {value}".encode() for name, value in delivery.headers.items()]
    target = delivered.target_of(delivery, source).encode()
    first = [b"POST %b HTTP/1.1" % target, b"Host: a", b"X-Forwarded-For: 203.0.113.7"]
    return b"\r\n".join([*first, *fields, framing, b"", body])


ALL: list[Target] = [
    *(target for name in vendors.discover() for target in _of_vendor(name)),
    Target(name="questions", check=asking.check_questions, seeds=asking.seeds, is_delivery=True),
    Target(name="configured", check=asking.check_signed, seeds=asking.seeds, is_delivery=True),
    Target(name="connection", check=listening.check_connection, seeds=_connections),
    Target(name="tokens", check=reading.check_tokens, seeds=_tokens, is_delivery=True),
    Target(name="json", check=reading.check_json, seeds=_samples),
    Target(name="javascript", check=reading.check_restringified, seeds=_samples),
    Target(name="redaction", check=reading.check_redaction, seeds=lambda: _SPELLINGS),
    Target(name="form", check=reading.check_form, seeds=lambda: [b"token=a&b=%2B+&c"]),
    Target(name="decompression", check=reading.check_decompression, seeds=_compressed),
    Target(name="caller", check=reading.check_caller, seeds=lambda: _FORWARDED),
    Target(name="clocks", check=reading.check_clocks, seeds=lambda: _MOMENTS),
    Target(name="amqp", check=reading.check_amqp, seeds=lambda: _PROPERTIES),
]
