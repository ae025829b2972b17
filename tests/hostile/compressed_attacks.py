"""Bodies that are small on the wire and large, or nothing at all, once decompressed."""

import gzip
import zlib
from collections.abc import Iterator

from tests.hostile.attack import Attack, Shot, accepted, request, shot, signed
from tests.hostile.bodies import BODY_LIMIT, MILLION


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _bombs() -> Iterator[Shot]:
    zeros = bytes(100 * MILLION)
    gzipped = gzip.compress(zeros)
    bombs = {
        "gzip": gzipped,
        "x-gzip": gzipped,
        "deflate": zlib.compress(zeros),
        "Deflate": _raw_deflate(zeros),
        "GZIP": gzip.compress(b" " * (BODY_LIMIT + 1)),
    }
    for encoding, bomb in bombs.items():
        headers = {"Content-Encoding": encoding}
        yield shot(f"{encoding} bomb", signed("swiftsell", bomb, headers), 413)
        yield shot(f"forged {encoding} bomb", request(headers=headers, body=bomb), 413)
    for encoding in ("gzip, gzip", "gzip,deflate", "br", "zstd", "compress"):
        yield shot(encoding, signed("swiftsell", gzipped, {"Content-Encoding": encoding}), 415)
    # Only what was declared is unpacked: the rest is nobody's JSON, and waits for a person.
    for what, body in {
        "a bomb in an envelope": gzip.compress(gzipped),
        "half a bomb": gzipped[: len(gzipped) // 50],
        "two members": gzip.compress(b"{}") * 2,
        "junk behind": gzip.compress(b"{}") + b"junk",
        "no gzip": b"{}",
        "nothing": b"",
    }.items():
        yield accepted("swiftsell", what, body, {"Content-Encoding": "gzip"})


ATTACKS = (Attack(name="bombs", shots=_bombs),)
