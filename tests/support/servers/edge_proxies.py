"""The proxies of deploy/edge/, run as they are there but for addresses and paths."""

import asyncio
import shutil
import socket
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deploy.local.private_server import Guard, free_port
from tests.support.eventually import eventually
from tests.support.servers.ports import is_taken

_EDGE = Path("deploy/edge")
# What nginx has in its main file; the rest is the one that is delivered.
_NGINX_MAIN = """\
user root;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log notice;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/bodies;
    proxy_temp_path {directory}/answers;
    fastcgi_temp_path {directory}/unused;
    uwsgi_temp_path {directory}/unused;
    scgi_temp_path {directory}/unused;
    include {directory}/relay.conf;
}}
"""


class Receiver(Protocol):
    """What a proxy needs to know of a receiver."""

    port: int
    admin_port: int


class Proxy:
    """A private proxy on loopback.

    Args:
        directory: for its configuration and logs.
        receivers: that it spreads requests over.
        certificate: PEM files of the chain and the key; None for no TLS.
    """

    program = ""

    def __init__(
        self,
        directory: Path,
        receivers: Sequence[Receiver],
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.receivers = receivers
        self.directory = directory
        self.output = directory / f"{self.program}.log"
        self._command = self._configured(certificate)

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        return self._process.pid

    @classmethod
    def lacks(cls) -> str:
        """Say why it can't be started here."""
        return "" if shutil.which(cls.program) else f"{cls.program} is not installed"

    def _configured(self, certificate: tuple[Path, Path] | None) -> list[str]:
        """Write the configuration, and return the command that runs it."""
        raise NotImplementedError

    def log(self) -> str:
        """Return all it has logged."""
        return "".join([path.read_text() for path in self.directory.glob("*.log")])

    async def __aenter__(self) -> Self:
        with self.output.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log
            )
        self._guard = Guard("kill", "-KILL")
        self._guard.watch(str(self._process.pid))
        await eventually(lambda: self._process.returncode is not None or is_taken(self.port))
        assert self._process.returncode is None, self.log()
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


class HAProxy(Proxy):
    """deploy/edge/haproxy.cfg, with a socket to ask how the receivers are."""

    program = "haproxy"

    def _configured(self, certificate: tuple[Path, Path] | None) -> list[str]:
        bind = f"127.0.0.1:{self.port}"
        if certificate:
            pem = self.directory / "relay.pem"
            pem.write_bytes(b"".join(path.read_bytes() for path in certificate))
            changes = {":443": bind, "/etc/haproxy/relay.pem": str(pem)}
        else:
            changes = {":443 ssl crt /etc/haproxy/relay.pem alpn h2,http/1.1": bind}
        servers = [
            f"    server relay-{number} 127.0.0.1:{receiver.port} port {receiver.admin_port}"
            for number, receiver in enumerate(self.receivers, 1)
        ]
        text = _adapted(_EDGE / "haproxy.cfg", changes, "    server relay-", servers)
        self._stats_port = free_port(self.port)  # a socket's path may have 97 characters at most
        config, more = self.directory / "haproxy.cfg", self.directory / "more.cfg"
        config.write_text(text)
        more.write_text(f"global\n    stats socket ipv4@127.0.0.1:{self._stats_port}\n")
        return ["haproxy", "-db", "-f", str(config), "-f", str(more)]

    def state_of(self, number: int) -> dict[str, str]:
        """Return what it says of a receiver, counted from 1; see `show stat` in its manual."""
        with closing(socket.create_connection(("127.0.0.1", self._stats_port))) as asking:
            asking.sendall(b"show stat\n")
            table = b"".join(iter(lambda: asking.recv(65536), b"")).decode().lstrip("# ")
        names, *rows = [line.split(",") for line in table.splitlines() if line]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        return next(row for row in found if row["svname"] == f"relay-{number}")


class Nginx(Proxy):
    """deploy/edge/nginx.conf."""

    program = "nginx"

    def _configured(self, certificate: tuple[Path, Path] | None) -> list[str]:
        assert certificate, "there is no nginx.conf without TLS"
        chain, key = certificate
        changes = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "/etc/nginx/relay.crt": str(chain),
            "/etc/nginx/relay.key": str(key),
            "/var/log/nginx/relay.log": str(self.directory / "access.log"),
            "/var/log/nginx/relay-error.log": str(self.directory / "error.log"),
        }
        servers = [
            f"    server 127.0.0.1:{receiver.port} max_fails=1 fail_timeout=2s;"
            for receiver in self.receivers
        ]
        text = _adapted(_EDGE / "nginx.conf", changes, "    server relay-", servers)
        (self.directory / "relay.conf").write_text(text)
        main = self.directory / "nginx.conf"
        main.write_text(_NGINX_MAIN.format(directory=self.directory))
        return ["nginx", "-p", str(self.directory), "-c", str(main), "-g", "daemon off;"]


def _adapted(path: Path, changes: dict[str, str], server: str, servers: Sequence[str]) -> str:
    """Return a delivered file with other paths and addresses, each of which has to be in it."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, f"{path} has no {old!r}"
        text = text.replace(old, new)
    lines = text.splitlines()
    theirs = [number for number, line in enumerate(lines) if line.startswith(server)]
    lines[theirs[0] : theirs[-1] + 1] = servers
    return "\n".join(lines) + "\n"
