"""Asking receivers and services how they are: `/readyz`, `/metrics` and `/recent`."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from relay.console.watching.history import POLL_INTERVAL_S, PolledHistory, Sample
from relay.console.watching.queues import QueueWatch
from relay.console.watching.scrape import Change, MetricValues, last_seen, parse
from relay.errors import RelayError
from relay.vendors.kit.fields import mapping

_TIMEOUT_S = 3.0
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
_MAX_RECEIVERS = 200
_P50, _P99 = 0.5, 0.99


@dataclass(slots=True, kw_only=True)
class Polled:
    """A receiver or a service, as it answered last.

    Args:
        name: its address, or the service's name.
        url: of its admin port; "" if nobody can ask.
        error: why it does not answer; None if it does.
        readiness: what its `/readyz` said.
        scrape: what its `/metrics` said.
    """

    name: str
    url: str
    error: str | None = "not asked yet"
    readiness: Mapping[str, Any] = field(default_factory=dict)
    scrape: MetricValues | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it answers, and says that it is ready."""
        return self.error is None and bool(self.readiness.get("ready"))

    @property
    def reason(self) -> str:
        """Why it is not ready, or "" ."""
        return "" if self.is_ready else str(self.error or self.readiness.get("reason", "not ready"))

    @property
    def broker(self) -> Mapping[str, Any]:
        """Its connection to RabbitMQ; empty if that is not known."""
        return mapping(self.readiness.get("broker"))

    @property
    def outbox(self) -> Mapping[str, Any]:
        """What waits in its outbox; empty if that is not known."""
        return mapping(self.readiness.get("outbox"))

    @property
    def parked(self) -> Mapping[str, Any]:
        """What RabbitMQ refuses; empty if that is not known."""
        return mapping(self.outbox.get("parked"))


def silent_in(receivers: Iterable[Polled]) -> Mapping[str, float]:
    """Return the sources that are silent, and in how many seconds each should be heard of.

    That is one which every receiver that answers calls so: a delivery comes to one of them.
    """
    answering = [mapping(each.readiness.get("silent")) for each in receivers if each.error is None]
    if not answering:
        return {}
    first, *others = answering
    limits = {name: mapping(first[name]).get("expect_every_s") for name in first}
    return {
        name: float(limit)
        for name, limit in limits.items()
        if isinstance(limit, int | float) and all(name in other for other in others)
    }


def waiting_in(receivers: Iterable[Polled]) -> tuple[int, float] | None:
    """Return how many messages wait in all outboxes, and for how many seconds the oldest does.

    None if no outbox is known.
    """
    outboxes = [receiver.outbox for receiver in receivers if receiver.outbox]
    if not outboxes:
        return None
    oldest_s = max(outbox["oldest_age_s"] for outbox in outboxes)
    return sum(outbox["messages"] for outbox in outboxes), oldest_s


class Poller:
    """Asks all of them every 5 seconds.

    Args:
        http: asks them.
        receivers: `http://HOST:PORT`, or `dns://NAME:PORT` for all addresses of a name.
        services: admin URLs by name, "" for one that has none.
        queues: knows what waits in RabbitMQ.
        history: what was found, for the plots.
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        receivers: Sequence[str],
        services: Mapping[str, str],
        queues: QueueWatch,
        history: PolledHistory,
    ) -> None:
        self.receivers: dict[str, Polled] = {}
        self.services = {name: Polled(name=name, url=url) for name, url in services.items()}
        self.asked_at: float | None = None
        self._http = http
        self._wanted = receivers
        self._queues = queues
        self._history = history

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.ask_all()
            await asyncio.sleep(POLL_INTERVAL_S)

    async def ask_all(self) -> None:
        """Ask each of them once."""
        urls = [url for wanted in self._wanted for url in await resolve(wanted)][:_MAX_RECEIVERS]
        known = self.receivers
        self.receivers = {url: known.get(url) or Polled(name=_name(url), url=url) for url in urls}
        change = Change()
        asked = [service for service in self.services.values() if service.url]
        await asyncio.gather(
            *[_ask(self._http, receiver, change) for receiver in self.receivers.values()],
            *[_ask(self._http, service, None) for service in asked],
        )
        for receiver in self.receivers.values():
            for source, at in last_seen(receiver.scrape or {}).items():
                self._history.see(source, at)
        now = time.time()
        elapsed_s = now - self.asked_at if self.asked_at else 0.0
        self._history.count(now, change)
        self._history.add(self._sample(now, change, elapsed_s))
        self.asked_at = now

    def _sample(self, now: float, change: Change, elapsed_s: float) -> Sample:
        up = [receiver for receiver in self.receivers.values() if receiver.error is None]
        is_known = bool(up) and elapsed_s > 0
        count, age_s = waiting_in(up) or (None, None)
        queues = self._queues
        dead = [queues.messages(name) for name in queues.dead]
        known_dead = [count for count in dead if count is not None]
        return Sample(
            at=now,
            accepted=change.accepted / elapsed_s if is_known else None,
            refused=change.refused / elapsed_s if is_known else None,
            p50_s=change.quantile_s(_P50),
            p99_s=change.quantile_s(_P99),
            outbox=count,
            outbox_age_s=age_s,
            quarantine=queues.messages(queues.quarantine),
            unrouted=queues.messages(queues.unrouted),
            dead=sum(known_dead) if known_dead else None,
        )


def read_readiness(body: bytes) -> Mapping[str, Any]:
    """Return what `/readyz` says. A part that an earlier version does not have may be missing.

    Raises:
        ValueError: it is no JSON object, or what should be a number or a list in it is none.
    """
    answer = orjson.loads(body)
    outbox = mapping(mapping(answer).get("outbox"))
    needed = [outbox.get("messages"), outbox.get("oldest_age_s")] if outbox else []
    others = [outbox.get("used_bytes"), outbox.get("max_bytes")]
    others.append(mapping(outbox.get("parked")).get("count"))
    numbers = [*needed, *[number for number in others if number is not None]]
    if not (
        isinstance(answer, dict)
        and isinstance(answer.get("workers", []), list)
        and all(isinstance(number, int | float) for number in numbers)
    ):
        raise ValueError("it is no answer of `/readyz`")
    return answer


async def _ask(http: aiohttp.ClientSession, polled: Polled, change: Change | None) -> None:
    """Ask one of them, and note its answers."""
    try:
        polled.readiness = read_readiness(await get(http, f"{polled.url}/readyz"))
        if change is not None:
            scrape = parse((await get(http, f"{polled.url}/metrics")).decode())
            change.add(polled.scrape, scrape)
            polled.scrape = scrape
        polled.error = None
    except RelayError as error:
        polled.error, polled.readiness = str(error), {}
    except ValueError:
        polled.error, polled.readiness = "its answer is not that of an admin port", {}


def http_session() -> aiohttp.ClientSession:
    """Return what asks admin ports, and waits up to 3 s for an answer."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))


async def get(
    http: aiohttp.ClientSession, url: str, query: Mapping[str, str] | None = None
) -> bytes:
    """Return an answer, whatever its status, up to 8 MiB.

    Raises:
        RelayError: there is none in time, or it is too large.
    """
    try:
        async with http.get(url, params=query, allow_redirects=False) as response:
            body = await response.content.read(_MAX_ANSWER_BYTES)
            while len(body) < _MAX_ANSWER_BYTES and (more := await response.content.read(65_536)):
                body += more
    except TimeoutError as error:
        raise RelayError(f"it did not answer within {_TIMEOUT_S:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RelayError("it does not answer") from error
    if len(body) >= _MAX_ANSWER_BYTES:
        raise RelayError("its answer is larger than 8 MiB")
    return body


async def resolve(wanted: str) -> list[str]:
    """Return the URLs that a setting stands for: itself, or one for each address of a name."""
    parts = urlsplit(wanted)
    if parts.scheme != "dns":
        return [wanted.rstrip("/")]
    port = parts.port or 9090
    found: list[Any] = []
    with contextlib.suppress(OSError, TimeoutError, UnicodeError):  # a part of the name is too long
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_TIMEOUT_S):
            found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    addresses = sorted({str(each[4][0]) for each in found})
    return [f"http://[{each}]:{port}" if ":" in each else f"http://{each}:{port}"
            for each in addresses]  # fmt: skip


def _name(url: str) -> str:
    return urlsplit(url).netloc
