"""A relay as its users run it: a process, a settings file, two ports, signals."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from relay import vendors
from tests.support.eventually import LIMIT_S, eventually

SECRET = "s3cret"
NOWHERE = "amqp://guest:guest@127.0.0.1:1/"
"""The URL of a broker that nobody runs."""
TRUSTS_NOBODY = {"SSL_CERT_FILE": os.devnull}
"""For programs that need no public authorities: aiohttp reads all of them as it is imported, which
takes a tenth of a start."""
_LISTENERS = ("ingress", "admin")
_discovered = functools.cache(vendors.discover)


@contextlib.contextmanager
def nothing_set_outside() -> Iterator[None]:
    """Keep settings in the environment of whoever runs the tests from relays that are started."""
    names = [name for name in os.environ if name.startswith("RELAY_")]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)


class RelayProcess:
    """`relay serve` with one source per vendor, named after it, all with the secret SECRET.

    Args:
        directory: for its settings, log and outbox.
        broker_url: of RabbitMQ.
        exchange: of the events.
        vendors: that there are sources of.
        program: what Python runs.
        checkout: where the relay and its `.venv` are; this one if not given.
        settings: by section, beside those that all relays under test have.
    """

    def __init__(
        self,
        directory: Path,
        *,
        broker_url: str,
        exchange: str = "webhooks",
        vendors: tuple[str, ...] = ("swiftsell",),
        program: tuple[str, ...] = ("-m", "relay"),
        checkout: Path | None = None,
        **settings: dict[str, Any],
    ) -> None:
        self.directory = directory
        self._program = program
        self._checkout = checkout
        self._config = directory / "relay.toml"
        self._log = directory / "relay.log"
        self._log_read_bytes = 0
        self._lines: list[dict[str, Any]] = []
        sections: dict[str, dict[str, Any]] = {
            "ingress": {"host": "127.0.0.1", "port": 0},
            "admin": {"port": 0},
            "broker": {"urls": [broker_url], "exchange": exchange},
            "outbox": {"directory": str(directory / "outbox")},
            **{f"sources.{name}": {"vendor": name, "secrets": [SECRET]} for name in vendors},
        }
        for name, values in settings.items():
            sections.setdefault(name.replace("__", "."), {}).update(values)
        self.write_config(sections)

    def write_config(self, sections: dict[str, dict[str, Any]]) -> None:
        self.sections = sections
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *[f"{k} = {json.dumps(v)}" for k, v in values.items()]]
        self._config.write_text("\n".join(lines))

    async def start(self) -> Self:
        """Start and wait until it listens."""
        lines_before = len(self.lines())
        python = self._checkout / ".venv/bin/python" if self._checkout else sys.executable
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(str(python), *self._program, "serve", "--config", str(self._config)),
                stderr=log,
                cwd=self._checkout,
                env=os.environ | TRUSTS_NOBODY,
            )
        await eventually(lambda: self._has_started(lines_before))
        addresses = self._addresses(lines_before)
        self.url, self.admin_url = (f"http://{addresses[listener]}" for listener in _LISTENERS)
        self.port, self.admin_port = (
            int(addresses[listener].rpartition(":")[2]) for listener in _LISTENERS
        )
        return self

    def _has_started(self, lines_before: int) -> bool:
        assert self.process.returncode is None, self._log.read_text()
        started = self.lines()[lines_before:]
        is_ready = any(line["event"] == "ready" and "worker" not in line for line in started)
        # Each process writes its own lines, some milliseconds after it has logged them.
        return is_ready and len(self._addresses(lines_before)) == len(_LISTENERS)

    def _addresses(self, lines_before: int) -> dict[str, str]:
        listening = [line for line in self.lines()[lines_before:] if line["event"] == "listening"]
        return {line["listener"]: line["address"] for line in listening}

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """What it has logged so far."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._log_read_bytes)
                complete, end, _ = log.read().rpartition(b"\n")
            self._log_read_bytes += len(complete + end)
            self._lines += [json.loads(line) for line in complete.splitlines()]
        return [line for line in self._lines if event in (None, line["event"])]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), LIMIT_S)

    async def ask(self, path: str, **query: str) -> tuple[int, dict[str, Any]]:
        """Return status and document of what the admin port answers."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.admin_url}{path}", params=query) as response,
        ):
            return response.status, await response.json()

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        return await self.ask("/readyz")

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.admin_url}/metrics") as response,
        ):
            return await response.text()

    async def is_drained(self) -> bool:
        return (await self.readiness())[1]["outbox"]["messages"] == 0

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            await self.stop()
        if error:
            print(self._log.read_text()[-5000:])  # noqa: T201  pytest shows it


async def post_signed(
    http: aiohttp.ClientSession, url: str, vendor: str, body: bytes
) -> dict[str, Any]:
    """Deliver a body as the vendor would, and return the answer, which must be a 200."""
    delivery = vendors.sign(_discovered()[vendor], body, SECRET, time.time())
    path = f"/in/{vendor}" + (f"/{delivery.path_secret}" if delivery.path_secret else "")
    async with http.post(
        f"{url}{path}", data=delivery.body, headers=delivery.headers, params=delivery.query
    ) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def post_all(url: str, bodies: Iterable[bytes], concurrency: int = 16) -> list[str]:
    """Deliver Swiftsell bodies; return the ids of what was answered 200, in order of answers.

    A sender that gets no answer stops: it can't know what became of its delivery.
    """
    accepted: list[str] = []
    waiting = iter(bodies)

    async def send(http: aiohttp.ClientSession) -> None:
        for body in waiting:
            async with http.post(
                f"{url}/in/swiftsell", data=body, headers={"Authorization": SECRET}
            ) as response:
                if response.status == 200:
                    accepted.extend((await response.json())["events"])

    async with aiohttp.ClientSession() as http:
        results = await asyncio.gather(
            *[send(http) for _ in range(concurrency)], return_exceptions=True
        )
    for result in results:
        if result and not isinstance(result, aiohttp.ClientError):
            raise result
    return accepted


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Return Swiftsell deliveries that differ in their text: its number."""
    body = vendors.samples("swiftsell")[1].read_bytes()
    return [body.replace(b"Hiiiii", b"%d" % n) for n in range(start, start + count)]
