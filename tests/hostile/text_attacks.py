"""Texts that are to break out of wherever they are put: a key, a header, an answer, a log."""

import json
from collections.abc import Iterator

from tests.hostile.attack import CUT, Attack, Shot, accepted, forged, shot, signed
from tests.hostile.bodies import filled
from tests.support.relay_process import SECRET

_LINES = "\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n"


def _texts() -> Iterator[Shot]:
    for what, value in {
        "NUL, escaped": rb'"a\u0000b"',
        "NUL": b'"a\0b"',
        "a lone surrogate": rb'"\ud800"',
        "surrogates the wrong way round": rb'"\udc00\ud800"',
        "an escape cut off": rb'"\u12"',
        "controls": b'"\x01\x02\x1b[2J"',
        "controls, escaped": json.dumps("".join(map(chr, range(32))) + "\x7f\x9b").encode(),
        "directions": json.dumps("\u202e\u2066abc\u200b\ufeff").encode(),
        "500,000 letters": b'"%b"' % (b"a" * 500_000),
        "80,000 escapes": b'"%b"' % (rb"\u0001" * 80_000),
        "an emoji of many parts": json.dumps(
            "\U0001f468\u200d" * 1000, ensure_ascii=False
        ).encode(),
    }.items():
        yield from filled(what, value)


def _event_types() -> Iterator[Shot]:
    for value in (
        *("#", "*", ".", "..", "#.#", "*.*", "a.#", ".a.", "-", "_", "/", "a/../b"),
        *(" ", "\t", "\n", "\0", "\x7f", "\u2028", "\u0130", "\ufb03", "\U0001f600"),
        *("a" * 10_240, "." * 10_240, "#" * 10_240, "\u00df" * 10_240, "\U0001f600" * 5000),
    ):
        yield from filled(repr(value[:10]), json.dumps(value).encode())


def _injection() -> Iterator[Shot]:
    yield from filled("lines", json.dumps(_LINES).encode())
    yield from filled("an escape sequence", json.dumps("\x1b]0;x\x07").encode())
    for name, value in {
        "traceparent": "00-" + "0" * 5000,
        "Content-Type": "a" * 5000,
        "Content-Encoding": "",
        "X-\u00fc".encode().decode("latin-1").replace("\u00c3\u00bc", "Odd"): "\u00ff" * 1000,
        "X-Forwarded-For": "1.1.1.1, " * 800,
        "a" * 5000: "b",
    }.items():
        yield accepted("acquire", f"header {name[:20]}", b"no JSON", {name: value})
    many = {f"X-{number}": "x" * 8000 for number in range(100)}
    yield accepted("acquire", "headers of 24 kB", b"no JSON", dict([*many.items()][:3]))
    large = signed("acquire", b"no JSON", many)
    yield shot("headers of 800 kB", large, 431, CUT, closes=True)
    token = json.dumps({"token": SECRET + _LINES}).encode()
    yield forged("swiftsell", "token with lines", token)
    yield forged("swiftsell", "names of lines", json.dumps({_LINES: 1}).encode())


ATTACKS = (
    Attack(name="texts", shots=_texts),
    Attack(name="event-types", shots=_event_types),
    Attack(name="injection", shots=_injection),
)
