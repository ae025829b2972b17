"""Callers that hold connections: slow ones, silent ones, and one that asks and never listens."""

import itertools
from collections.abc import Iterator

from tests.hostile.attack import CUT, Attack, Shot, request, signed
from tests.support.relay_process import SECRET, numbered

READ_TIMEOUT_S = 2.0
"""`ingress.read_timeout_s` of the relay under attack."""
_PACE_S = 0.05
_IDLE = 2000
_PIPELINED, _PIPELINED_AND_READ = 100_000, 4000
_PER_PIECE = 1000
_DEAF_S = 1.0

_HEAD = f"POST /in/swiftsell HTTP/1.1\r\nHost: relay\r\nAuthorization: {SECRET}\r\n".encode()


def _slow(what: str, start: bytes, piece: bytes, *statuses: int) -> Shot:
    return Shot(
        what=what,
        pieces=itertools.chain([start], itertools.repeat(piece)),
        statuses=frozenset(statuses),
        pace_s=_PACE_S,
    )


def _slow_headers() -> Iterator[Shot]:
    """Nobody has to tell a caller that never finished its first line."""
    yield _slow("a slow request line", b"POST /in/", b"a", 408, CUT)
    yield _slow("slow headers", _HEAD, b"X: x\r\n", 408, CUT)
    yield _slow("a slow header", _HEAD + b"X: ", b"x", 408, CUT)
    yield _slow("slow empty lines", b"\r\n", b"\r\n", 408, CUT)
    yield _slow("many empty lines", b"", b"\r\n" * 1000, 408, CUT)


def _slow_bodies() -> Iterator[Shot]:
    chunked = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield _slow("a slow body", _HEAD + b"Content-Length: 1000\r\n\r\n", b"a", 408)
    yield _slow("slow chunks", chunked, b"1\r\na\r\n", 408)
    yield _slow("a slow chunk size", chunked, b"0", 408)
    yield _slow("a slow chunk extension", chunked + b"1;", b"a", 408)
    yield _slow("slow trailers", chunked + b"1\r\na\r\n0\r\n", b"X: x\r\n", 408)


def _normal() -> Iterator[Shot]:
    for number, body in enumerate(numbered(100, start=1000)):
        wire = signed("swiftsell", body)
        yield Shot(what=f"delivery {number}", pieces=[wire], statuses=frozenset({200}))


def _pipelined() -> Iterator[Shot]:
    """A caller that never listens is not read for ever; one that listens late misses nothing."""
    short = request("/in/none")
    chunked = short.replace(
        b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    for what, wire in {"short": short, "chunked": chunked}.items():
        for count, answers in ((_PIPELINED, 0), (_PIPELINED_AND_READ, _PIPELINED_AND_READ)):
            yield Shot(
                what=f"{count} {what} requests, {answers} answers read",
                pieces=[wire * _PER_PIECE] * (count // _PER_PIECE),
                statuses=frozenset({404}),
                answers=answers,
                deaf_s=_DEAF_S,
            )


ATTACKS = (
    Attack(name="slow-headers", shots=_slow_headers),
    Attack(name="slow-bodies", shots=_slow_bodies),
    Attack(name="idle-connections", shots=_normal, idle=_IDLE),
    Attack(name="pipelining", shots=_pipelined),
)
