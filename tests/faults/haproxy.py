"""HAProxy in front of several receivers, as a small installation would have it."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.node import Guard, free_port
from tests.eventually import eventually
from tests.faults.receiver import Receiver, is_taken

# A receiver that is about to stop says so on its admin port, and answers what still comes for a
# second; the check is quicker. A request that meets a closed connection goes to another one: the
# relay answers before it closes, so that this can't make more than a duplicate.
_CONFIG = """\
global
    maxconn 1000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 1s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
frontend webhooks
    bind 127.0.0.1:{port}
    default_backend receivers
backend receivers
    balance roundrobin
    option httpchk GET /readyz
    default-server check inter 200ms fall 1 rise 1
"""
_SERVER = "    server receiver-{number} 127.0.0.1:{port} check port {admin_port}\n"


def lacks() -> str:
    """Say why it can't be started here."""
    return "" if shutil.which("haproxy") else "haproxy is not installed"


class HAProxy:
    """A private HAProxy on loopback.

    Args:
        directory: for its configuration and log.
        receivers: that it spreads requests over.
    """

    def __init__(self, directory: Path, receivers: Sequence[Receiver]) -> None:
        self.port = free_port()
        self._config = directory / "haproxy.cfg"
        self._log = directory / "haproxy.log"
        servers = [
            _SERVER.format(number=number, port=it.port, admin_port=it.admin_port)
            for number, it in enumerate(receivers)
        ]
        self._config.write_text(_CONFIG.format(port=self.port) + "".join(servers))

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("haproxy", "-db", "-f", str(self._config)), stdout=log, stderr=log
            )
        self._guard = Guard("kill", "-KILL")
        self._guard.watch(str(self._process.pid))
        await eventually(lambda: is_taken(self.port))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        await self._process.wait()
        self._guard.disarm()
