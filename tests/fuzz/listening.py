"""What is to hold of whatever comes over a connection: the public listener with a sink in memory.

aiohttp's parser, the fast path, bodies in chunks and compressed, X-Forwarded-For, answers, logs.
"""

import asyncio
import atexit
import json
import re
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_network
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from relay import vendors
from relay.ingress.handler import Ingress, IngressOptions
from relay.ingress.http_server import Server
from relay.ingress.limits import Limits
from relay.ingress.outcomes import Outcomes
from relay.ingress.processing_subprocess import ProcessingSubprocess
from relay.observability.metrics import IngressMetrics
from relay.sink import PendingDelivery, Sink
from tests.fuzz import delivered, understanding

NEXT_READ = b"\0|\0"
"""What separates the bytes of one read from those of the next."""
_MAX_READS = 4
_TURNS = 12
"""Of the event loop: more than a request takes whose bytes are all there."""
_BODY_LIMIT_BYTES = 4_096
_STATUSES = {200, 400, 401, 404, 405, 413, 415}
_HEAD = re.compile(rb"HTTP/\d\.\d (\d{3}) [^\r\n]*\r\n((?:[A-Za-z-]+: ?[^\r\n\0]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)
_MAY_BE_A_NAME = {"header_names", "query_names", "body_names", "content_type"}


class _MemorySink(Sink):
    """Says of all messages at once that they are durable."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def append_all(self, deliveries: Sequence[PendingDelivery]) -> None:
        for delivery in deliveries:
            self.ids += [message.id for message in delivery.messages]
            delivery.complete(None)


class _Wire(asyncio.Transport):
    """A connection whose other end is the fuzzer."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.1", 5)})
        self.sent = b""
        self._is_closing = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.write(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Listener:
    """The public listener of a relay with a source of every vendor, on an event loop of its own."""

    def __init__(self) -> None:
        self.sink = _MemorySink()
        self.failures: list[dict[str, Any]] = []
        self._runner = asyncio.Runner()
        atexit.register(self._runner.close)
        self._runner.run(self._open())

    async def _open(self) -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.failures.append(context)
        )
        self._server = Server(
            Ingress(
                sink=self.sink,
                sources={name: understanding.source_of(name) for name in vendors.discover()},
                options=IngressOptions(
                    body_limit_bytes=_BODY_LIMIT_BYTES,
                    trusted_proxies=[ip_network("10.0.0.0/8")],
                ),
                subprocess=ProcessingSubprocess(),
                outcomes=Outcomes(IngressMetrics(CollectorRegistry())),
            ),
            Limits(
                body_bytes=_BODY_LIMIT_BYTES,
                bodies_bytes=_BODY_LIMIT_BYTES,
                connections=100,
                head_timeout_s=60,
                body_timeout_s=60,
            ),
        )

    def answers_to(self, reads: list[bytes]) -> bytes:
        """Return what is sent on a connection that is lost after the last of reads."""
        return self._runner.run(self._converse(reads))

    async def _converse(self, reads: list[bytes]) -> bytes:
        wire, connection = _Wire(), self._server()
        connection.connection_made(wire)
        for data in reads:
            if not wire.is_closing():
                connection.data_received(data)
            await _turn()
        connection.connection_lost(None)
        await _turn()
        return wire.sent


async def _turn() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@cache
def _listener() -> _Listener:
    return _Listener()


def check_connection(data: bytes) -> None:
    """Whatever the bytes, each answer is one of ours, and tells nothing."""
    with capture_logs() as lines:
        listener = _listener()
        listener.sink.ids.clear()
        sent = listener.answers_to(data.split(NEXT_READ)[:_MAX_READS])
    assert not listener.failures
    told = []
    for status, body in answers(sent):
        assert status in _STATUSES, (status, lines)
        if status == 200 and body.startswith(b"{"):
            document = orjson.loads(body)
            told += document.get("events", [])
            told += [document["id"]] if "id" in document else []
        if status != 200:
            assert orjson.loads(body)["status"] == status
            understanding.check_silence(body)
    assert told == listener.sink.ids
    for line in lines:
        said = json.dumps({k: v for k, v in line.items() if k not in _MAY_BE_A_NAME}, default=str)
        assert not any(secret in said for secret in delivered.LIVE)


def answers(sent: bytes) -> list[tuple[int, bytes]]:
    """Cut what was sent into answers: each a status and a body."""
    found = []
    while sent:
        head = _HEAD.match(sent)
        assert head, sent
        status = int(head[1])
        sent = sent[head.end() :]
        if status == 100:
            continue
        length = _LENGTH.search(head[2])
        assert length, head[0]
        size = int(length[1])
        assert len(sent) >= size
        found.append((status, sent[:size]))
        sent = sent[size:]
    return found
