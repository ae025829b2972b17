"""Senders known by settings alone: what strangers ask in their name, and what they sign amiss."""

import time
from collections.abc import Iterator
from urllib.parse import quote

from tests.hostile.attack import Attack, Shot, request, shot
from tests.support.relay_process import SECRET

SECTIONS = {
    "sources__asked-meta": {"vendor": "generic", "preset": "meta", "secrets": [SECRET]},
    "sources__asked-graph": {"vendor": "msgraph", "secrets": [SECRET]},
    "sources__asked-events": {"vendor": "cloudevents", "secrets": [SECRET]},
    "sources__asked-x": {"vendor": "x", "secrets": [SECRET]},
    "sources__asked-slack": {"vendor": "slack", "secrets": [SECRET]},
    "sources__asked-hook": {"vendor": "generic", "secrets": [SECRET]},
    "sources__asked-hook__verify": {"kind": "hmac", "header": "x-hook-signature"},
    "sources__asked-hook__challenge": {"kind": "asana"},
}
"""Settings of the relay that is asked."""

_TEXTS = (
    *("<script>alert(1)</script>", "a\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n", "\0", "\n"),
    *("a" * 1024, "\ufffd", "\u202e", "%", "%zz", "&", "=", "\ud83d\ude00" * 9, ";", '"'),
)


def _asked(path: str, method: str = "GET", headers: str = "") -> bytes:
    return f"{method} /in/{path} HTTP/1.1\r\nHost: relay\r\n{headers}\r\n".encode("latin-1")


def _questions() -> Iterator[Shot]:
    for text in _TEXTS:
        asked, what = quote(text, errors="replace"), repr(text[:9])
        start = f"asked-meta?hub.mode=subscribe&hub.challenge={asked}&hub.verify_token="
        yield shot(f"meta, live: {what}", _asked(f"{start}{SECRET}"), 200)
        yield shot(f"meta, forged: {what}", _asked(f"{start}{asked}"), 401)
        graph = f"/in/asked-graph?validationToken={asked}"
        yield shot(f"graph: {what}", request(graph), 200)
        yield shot(f"x: {what}", _asked(f"asked-x?crc_token={asked}"), 200, 405)
        yield shot(f"slack: {what}", _asked(f"asked-slack?challenge={asked}"), 405)
    for size in (1025, 7000):
        long = f"asked-meta?hub.mode=subscribe&hub.verify_token={SECRET}&hub.challenge="
        yield shot(f"meta, {size}", _asked(long + "a" * size), 405)
        yield shot(f"graph, {size}", request(f"/in/asked-graph?validationToken={'a' * size}"), 401)
    many = "&".join(["hub.challenge=1"] * 64)
    yield shot("meta, many", _asked(f"asked-meta?hub.mode=subscribe&{many}"), 401, 405)


def _headers() -> Iterator[Shot]:
    for text in ("a b", "\xff", "<b>", "a" * 5000, "*", "a,b", "a;b"):
        bearer = f"Authorization: Bearer {SECRET}\r\n"
        origin = f"WebHook-Request-Origin: {text}\r\n"
        wire = _asked("asked-events", "OPTIONS", origin + bearer)
        yield shot(f"an origin: {text[:9]!r}", wire, 405)
        yield shot(f"a stranger: {text[:9]!r}", _asked("asked-events", "OPTIONS", origin), 405)
        secret = {"X-Hook-Secret": text}
        is_text = text.isascii() and " " not in text and len(text) <= 1024
        status = 200 if is_text else 401
        yield shot(f"a hook: {text[:9]!r}", request("/in/asked-hook", secret), status)
    yield shot(
        "a known origin", _asked("asked-events", "OPTIONS", "WebHook-Request-Origin: a.b\r\n"), 401
    )


def _signatures() -> Iterator[Shot]:
    now = int(time.time())
    for moment in ("", "+1", "-1", "1e9", "9" * 400, "\xb2", "nan", str(now), f" {now}", "0x1"):
        for made in ("", "v0=", "v0=" + "a" * 64, "a" * 64, "v0=" + "a" * 7000, "v0=\xff"):
            headers = {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": made}
            yield shot(
                f"{moment[:9]!r} {made[:9]!r}", request("/in/asked-slack", headers, b"{}"), 401
            )
    commas = {"X-Hook-Signature": "," * 7000}
    yield shot("commas", request("/in/asked-hook", commas, b"{}"), 401)


ATTACKS = (
    Attack(name="questions", shots=_questions),
    Attack(name="question-headers", shots=_headers),
    Attack(name="odd-signatures", shots=_signatures),
)
