"""Real relays, and requests that get every answer the document has."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from relay import vendors
from relay.configured import sources_of
from relay.settings import load
from relay.vendors.kit.request import OutgoingRequest
from tests.integration.openapi.checking import Answer
from tests.support.eventually import LIMIT_S
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess

ELSEWHERE = "198.51.100.1"
"""An address that is in nobody's allow_from."""
PREFIX = "/in/"
BUGGY = "buggy"
SOURCES: dict[str, dict[str, Any]] = {
    "echo": {"vendor": "swiftsell", "echo": "mirror", "ignore": ["conversation.*"]},
    "plain": {"vendor": "acquire"},
    "zealous": {"vendor": "meta"},
    "head": {"vendor": "intercom"},
    "slack": {"vendor": "slack"},
    "crc": {"vendor": "x"},
    **{
        kind: {
            "vendor": "generic",
            "verify": {"kind": "token", "header": "x-token"},
            "challenge": {"kind": kind},
        }
        for kind in ("asana", "cloudevents", "dropbox", "graph", "okta", "meta")
    },
}
_LIMITS = {
    "host": "127.0.0.1",
    "trusted_proxies": ["127.0.0.0/8"],
    "read_timeout_s": 1,
    "body_limit_bytes": 20_000,
    "header_limit_bytes": 2_000,
}
_BUG = """
from relay.vendors.kit.request import Answer

def authenticate(request, secrets):
    if request.query_string == "bug":
        raise ZeroDivisionError

def normalize(request):
    return []

def sign(body, secret):
    raise NotImplementedError

def answer(request, secrets):
    authenticate(request, secrets)
    return Answer() if request.query_string == "ask" else None
"""
_SUBSCRIPTION = {"hub.mode": "subscribe", "hub.verify_token": SECRET, "hub.challenge": "1"}
_WITHOUT_HANDSHAKE = {
    "head": OutgoingRequest(body=b"", method="HEAD"),
    "zealous": OutgoingRequest(body=b"", method="GET", query=_SUBSCRIPTION),
}
"""The questions of vendors whose code can't ask them."""


def write_vendor_with_a_bug(folder: Path) -> None:
    """Write a package that is installed once folder is on the path, with the vendor BUGGY."""
    (folder / f"{BUGGY}.py").write_text(_BUG)
    described = folder / f"{BUGGY}-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {BUGGY}\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[relay.vendors]\n{BUGGY} = {BUGGY}\n")


def relay(
    folder: Path,
    *,
    names: Iterable[str] = tuple(SOURCES),
    is_buggy: bool = False,
    **ingress: object,
) -> RelayProcess:
    """Return a relay without a broker, with a source for each way of asking and answering."""
    folder.mkdir()
    sources = {name: SOURCES[name] for name in names} | (
        {BUGGY: {"vendor": BUGGY}} if is_buggy else {}
    )
    process = RelayProcess(
        folder,
        broker_url=NOWHERE,
        vendors=(),
        ingress={**_LIMITS, **ingress},
        outbox={"max_bytes": 1_048_576 * int(str(ingress.get("workers", 1)))},
    )
    allowed = {"secrets": [SECRET], "allow_from": ["127.0.0.0/8"]}
    sections = process.sections | {f"sources.{name}": allowed | sources[name] for name in sources}
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *[f"{key} = {_toml(value)}" for key, value in values.items()]]
    (folder / "relay.toml").write_text("\n".join(lines))
    return process


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


class Asker:
    """Asks one port, a connection for each request."""

    def __init__(self, port: int, at_once: int = 40) -> None:
        self._port = port
        self._turn = asyncio.Semaphore(at_once)

    async def send(self, method: str, path: str, sent: bytes) -> Answer:
        """Send bytes, and read the answer."""
        async with self._turn, asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.closing(writer):
                writer.write(sent)
                head = await reader.readuntil(b"\r\n\r\n")
                line, _, fields = head.partition(b"\r\n")
                found = message_from_bytes(fields)
                headers = {name.lower(): value for name, value in found.items()}
                # Not to the end: the connection may wait for the rest of a refused body.
                length = 0 if method == "HEAD" else int(headers["content-length"])
                body = await reader.readexactly(length)
        status = int(line.split()[1])
        return Answer(method=method, path=path, status=status, headers=headers, body=body)

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a whole request; in names of headers, `_` is `-`."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send(method, path, request(method, path, body, fields))

    @contextlib.asynccontextmanager
    async def occupying(self) -> AsyncIterator[None]:
        """Keep a connection open."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            yield


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bytes:
    fields = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in (fields | dict(headers or {})).items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body


REFUSED: dict[int, dict[str, str]] = {
    400: {"content-length": "0", "Content-Length": "1"},
    401: {"X-Forwarded-For": ELSEWHERE},
    404: {},
    405: {},
    408: {"Content-Length": "10"},
    413: {"Content-Length": "999999"},
    415: {"Content-Encoding": "br"},
    431: {"X-Long": "x" * 3_000},
}
"""The headers of a request that gets a status, on any path and with any method that may get it."""


def concrete(path: str) -> str:
    """Return a path for a template of the document."""
    return path.replace("{source}", "nobody").replace("{secret}", SECRET).replace("{path}", "what")


def understood_requests(config: Path) -> Iterator[tuple[str, OutgoingRequest]]:
    """Yield what each source's vendor sends and asks, authenticated, by the source's name."""
    for name, source in sources_of(load(config)).items():
        vendor, now = source.vendor, time.time()
        samples = vendors.samples(SOURCES[name]["vendor"])
        body = samples[0].read_bytes() if samples else b'{"type":"a"}'
        yield name, vendors.sign(vendor, body, SECRET, now)
        question = vendors.handshake(vendor, SECRET, now) or _WITHOUT_HANDSHAKE.get(name)
        if question:
            yield name, question
            if question.method == "GET" and "HEAD" in vendors.asks(vendor):
                yield name, replace(question, method="HEAD")


async def send_understood(
    asker: Asker, requests: Iterable[tuple[str, OutgoingRequest]]
) -> list[Answer]:
    """Send each to its source, without and with a secret in the path."""
    found = []
    for name, outgoing in requests:
        query = f"?{urlencode(outgoing.query, quote_via=quote)}" if outgoing.query else ""
        for path in (f"{PREFIX}{name}{query}", f"{PREFIX}{name}/{SECRET}{query}"):
            sent = request(outgoing.method, path, outgoing.body, outgoing.headers)
            found.append(await asker.send(outgoing.method, path, sent))
    return found
