"""A relay under a supervisor that starts it anew whenever it ends, as systemd would."""

import contextlib
import re
import signal
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from deploy.local.private_server import free_port
from relay.outbox import database
from tests.faults.harness import deliveries
from tests.faults.harness.journal import Kept
from tests.faults.harness.supervisor import LIMIT_S, Supervisor
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess
from tests.support.servers.ports import is_taken

_OLD_S = 1.0


class Receiver(RelayProcess):
    """A supervised relay on ports that stay the same.

    It logs nothing but trouble: a line per delivery would be most of what the machine does.

    Args:
        directory: for its settings, log and outbox.
        environment: beside that of the tests.
        stderr: where it logs to, instead of a file of its own.
        settings: see RelayProcess.
    """

    def __init__(
        self,
        directory: Path,
        *,
        broker_url: str,
        exchange: str,
        environment: Mapping[str, str] | None = None,
        stderr: int | None = None,
        **settings: Any,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.admin_port = free_port(self.port)
        ours: dict[str, Any] = {
            "ingress": {"port": self.port, "body_limit_bytes": deliveries.BODY_LIMIT_BYTES},
            "admin": {"host": "127.0.0.1", "port": self.admin_port},
            "log": {"level": "warning", "format": "json"},
        }
        merged: dict[str, Any] = {
            name: {**ours.get(name, {}), **settings.get(name, {})} for name in {*ours, *settings}
        }
        super().__init__(directory, broker_url=broker_url, exchange=exchange, **merged)
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.outbox = Path(self.sections["outbox"]["directory"])
        self._supervisor = Supervisor(
            (sys.executable, "-m", "relay", "serve", "--config", str(self._config)),
            self._log if stderr is None else stderr,
            environment,
        )

    async def start(self) -> Self:
        """Start it and its supervisor, and wait until it listens."""
        self._supervisor.start()
        await self.is_listening()
        return self

    async def is_listening(self) -> None:
        """Wait until it takes connections."""
        await eventually(lambda: is_taken(self.port), LIMIT_S)

    async def kill(self) -> None:
        """End it without a word, as a power cut does, and wait until it listens anew."""
        await self._supervisor.end(signal.SIGKILL)
        await self.is_listening()

    async def restart(self) -> None:
        """End it in order and wait until it listens anew."""
        await self._supervisor.end(signal.SIGTERM)
        await self.is_listening()

    async def take_away(self) -> None:
        """End it in order, for as long as `bring_back` is not called."""
        await self._supervisor.take_away(signal.SIGTERM)

    async def bring_back(self) -> None:
        """Start it anew and wait until it listens."""
        self._supervisor.bring_back()
        await self.is_listening()

    async def stop(self) -> int:
        """End it in order, for good, and return its exit status."""
        return await self._supervisor.stop()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
        if error and self._log.exists():
            print(self._log.read_text()[-5000:])  # noqa: T201  pytest shows it

    async def is_connected(self) -> bool:
        """Return whether it has a broker that takes events."""
        return await self._broker_state() == "connected"

    async def is_blocked(self) -> bool:
        """Return whether it knows of an alarm of the broker."""
        return await self._broker_state() == "blocked"

    async def _broker_state(self) -> str:
        with contextlib.suppress(aiohttp.ClientError):
            return str((await self.readiness())[1]["broker"]["state"])
        return "unknown"

    async def takes_part(self) -> bool:
        """Return whether it has answered since it was started."""
        return await self.metric("relay_requests_total") > 0

    async def has_caught_up(self) -> bool:
        """Return whether nothing old waits: under load, an outbox is hardly ever empty."""
        return await self.metric("relay_outbox_oldest_age_seconds") < _OLD_S

    async def metric(self, name: str) -> float:
        """Return a metric, the sum over its labels."""
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", await self.metrics(), re.MULTILINE)
        return sum(map(float, found))

    def kept(self) -> list[Kept]:
        """Return what is in its outboxes."""
        found: list[Kept] = []
        for path in sorted(self.outbox.rglob(database.FILE_NAME)):
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
                found += kept_in(db)
        return found


def kept_in(db: sqlite3.Connection) -> list[Kept]:
    """Return what is in an outbox's database."""
    rows = db.execute("SELECT id, body FROM outbox ORDER BY seq").fetchall()
    return [Kept(event_id, *(deliveries.mark_in(body) or (-1, -1))) for event_id, body in rows]
