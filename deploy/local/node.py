"""A private RabbitMQ node from the installed Debian package.

It uses loopback and one directory only, and signals only what it has started. Standard library
only.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from deploy.local import erlang
from deploy.local.private_server import Guard, eventually, free_port, output_of

if TYPE_CHECKING:
    from collections.abc import Sequence

URLS_VARIABLE = "RELAY_BROKER__URLS"
INSTALL_ADVICE = (
    "No RabbitMQ was found: run `sudo apt-get install rabbitmq-server`, "
    f"start Docker, or set {URLS_VARIABLE}."
)

# A start takes 3 s on two idle cores, a stop 1 s; the rest is for a busy or slow machine.
START_LIMIT_S = 90.0
_STOP_LIMIT_S = 30.0
# A killed node needs a moment until it is gone and its directory is free.
_CLAIM_LIMIT_S = 2.0
_LOG_TAIL_LINES = 12

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_NODE_NAME = "relay@localhost"
# What stands around a value that was printed: our own tuple's ends, and that it was printed.
_EVALUATED, _PRINTED = "{ok,", "}{ok, ok}"
# The limit keeps the disk alarm quiet on a nearly full development disk. RabbitMQ reads a path
# with a space everywhere but in its disk monitor, which then gives up: no alarm, no other harm.
# These settings are Erlang terms because a rabbitmq.conf takes RabbitMQ another second to parse.
_SETTINGS = """\
[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {port}}}]}}, {{disk_free_limit, 1000000}}{more}]}}].
"""


class BrokerError(Exception):
    """There is no usable broker; the message says why, and what to do."""


class PrivateBroker:
    """A RabbitMQ node of our own, from the installed Debian package, on loopback only.

    Everything it reads and writes is in one directory, which keeps the data for the next node.

    Args:
        directory: Where the node lives; created if missing.
        port: The AMQP port; by default a free one.
        name: Of the Erlang node; each node of a cluster has its own.
        epmd_port: Of an epmd that several nodes share; by default the node starts its own.
        settings: More of RabbitMQ's settings, as Erlang terms.
        configuration: A rabbitmq.conf; the settings take precedence over it.
        plugins: To enable.
    """

    def __init__(  # noqa: PLR0913  all but the first are for tests
        self,
        directory: Path,
        *,
        port: int | None = None,
        name: str = _NODE_NAME,
        epmd_port: int | None = None,
        settings: str = "",
        configuration: str = "",
        plugins: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self.directory = directory.resolve()
        self.name = name
        self._epmd_port = epmd_port
        self._more_settings = settings
        self._configuration = configuration
        self._plugins = plugins
        self._environment: dict[str, str] = {}
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The AMQP URL, the same before and after a restart."""
        return url_of(self.port)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the node and its epmd, while they run."""
        return tuple(process.pid for process in (self._node, self._epmd) if process)

    def start(self) -> None:
        """Start the node and return once it answers AMQP.

        Raises:
            BrokerError: It did not start; the message holds the end of its log. Nothing runs on.
        """
        if self._node:
            raise BrokerError(f"The private RabbitMQ in {self.directory} is already started.")
        if _connects(self.port):
            raise BrokerError(f"Port {self.port} on 127.0.0.1 is taken.")
        scripts = scripts_folder()
        if scripts is None:
            raise BrokerError(INSTALL_ADVICE)
        try:
            self._wait_until_ready(self._launch(scripts))
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the node cleanly and return once nothing of it runs."""
        if self._node:
            self.resume()  # a paused node obeys nothing but SIGKILL
            self._node.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._node.wait(_STOP_LIMIT_S)
        self.kill()

    def kill(self) -> None:
        """End the node by SIGKILL. The data stays, and `start` brings it back on the same port."""
        processes = [process for process in (self._node, self._epmd) if process]
        for process in processes:
            process.kill()
        # Disarm the guard before the processes are reaped: after that, their ids may be reused.
        if self._guard:
            self._guard.disarm()
        for process in processes:
            process.wait()
        self._node = self._epmd = self._guard = None

    def pause(self) -> None:
        """Suspend the node; its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a paused node."""
        self._signal(signal.SIGCONT)

    def ctl(self, *args: str, timeout_s: float = 60) -> str:
        """Run rabbitmqctl against this node and return what it printed, without headings.

        Raises:
            BrokerError: The command failed or took too long.
        """
        scripts = scripts_folder()
        if scripts is None or self._node is None:
            raise BrokerError("The private RabbitMQ is not running.")
        command = [str(scripts / "rabbitmqctl"), "--silent", *args]
        return self._ask(f"rabbitmqctl {' '.join(args)}", command, timeout_s=timeout_s)

    def evaluate(self, expression: str, timeout_s: float = 60) -> str:
        """Evaluate an Erlang expression in the node and return its value as Erlang prints it.

        This takes milliseconds: `rabbitmqctl eval` does the same in an Erlang of its own, whose
        start takes half a second of CPU.

        Raises:
            BrokerError: It can't be parsed, failed or took too long.
        """
        if self._node is None:
            raise BrokerError("The private RabbitMQ is not running.")
        command = ["erl_call", "-r", "-n", self.name, "-e", "-fetch_stdout"]
        program = f'io:format("~0tp", [catch {{ok, begin {expression} end}}]).\n'
        name = f"erl_call {expression}"
        printed = self._ask(name, command, program, timeout_s=timeout_s)
        value = printed.removeprefix(_EVALUATED).removesuffix(_PRINTED)
        if printed != f"{_EVALUATED}{value}{_PRINTED}":
            raise BrokerError(f"`{name}` failed: {printed}")
        return value

    def _ask(self, name: str, command: list[str], program: str = "", *, timeout_s: float) -> str:
        try:
            result = subprocess.run(  # noqa: S603  our own node, no shell
                command,
                cwd=self.directory,
                env=self._environment,
                input=program,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerError(f"`{name}` did not finish within {timeout_s:g} s.") from error
        if result.returncode:
            raise BrokerError(f"`{name}` failed: {result.stderr.strip()}")
        return result.stdout

    @property
    def _log(self) -> Path:
        return self.directory / "rabbitmq.log"

    def _launch(self, scripts: Path) -> subprocess.Popen[bytes]:
        self.directory.mkdir(parents=True, exist_ok=True)
        # The node inherits the lock, and holds it as long as it lives.
        with (self.directory / "lock").open("w") as lock:
            if not eventually(lambda: _lock(lock.fileno()), _CLAIM_LIMIT_S):
                raise BrokerError(f"Another RabbitMQ already runs in {self.directory}.")
            self._write_files()
            self._environment = self._new_environment()
            self._guard = Guard("kill", "-KILL")
            # By default, Erlang would start an epmd that serves the whole machine and stays.
            epmd_port = self._environment["ERL_EPMD_PORT"]
            if self._epmd_port is None:
                self._epmd = self._spawn("epmd", "-address", "127.0.0.1", "-port", epmd_port)
            if not eventually(lambda: _connects(int(epmd_port)), START_LIMIT_S):
                raise BrokerError(f"epmd did not start; {self._log_end()}")
            server = str(scripts / "rabbitmq-server")
            self._node = self._spawn(server, "-noinput", keep=(lock.fileno(),))
        return self._node

    def _spawn(self, *command: str, keep: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  the package's own programs, no shell
                command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=keep,
                start_new_session=True,  # Ctrl-C reaches only us, and we stop the node in order
            )
        if self._guard:
            self._guard.watch(str(process.pid))
        return process

    def _write_files(self) -> None:
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        more = f", {self._more_settings}" if self._more_settings else ""
        settings = _SETTINGS.format(port=self.port, more=more)
        (self.directory / "advanced.config").write_text(settings)
        if self._configuration:
            (self.directory / "rabbitmq.conf").write_text(self._configuration)
        (self.directory / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")

    def _new_environment(self) -> dict[str, str]:
        """Return the node's whole environment: nothing is inherited, such as RABBITMQ_*."""
        directory = self.directory
        epmd_port = self._epmd_port or free_port(self.port)
        return {
            "PATH": _PATH,
            "HOME": str(directory),  # the cookie is looked for here
            "LANG": "C.UTF-8",
            "ERL_AFLAGS": erlang.LOAD_AT_ONCE,  # before the other arguments, which start RabbitMQ
            "ERL_CRASH_DUMP_SECONDS": "0",  # no dump, the log is enough
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_FLAGS": erlang.FLAGS,
            # With input allowed, the script executes the node instead of starting it as a child, so
            # that the process id is the node's; -noinput disallows the input again.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(free_port(self.port, epmd_port)),
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory),
            "RABBITMQ_LOGS": "-",  # to its output, which is the log file
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            # These two do not exist; naming them excludes those in /etc/rabbitmq.
            "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILES": str(directory / "conf.d"),
        }

    def _wait_until_ready(self, node: subprocess.Popen[bytes]) -> None:
        eventually(lambda: speaks_amqp(self.port) or node.poll() is not None, START_LIMIT_S)
        if node.poll() is not None or not speaks_amqp(self.port):
            raise BrokerError(f"RabbitMQ did not start; {self._log_end()}")

    def _log_end(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line]
        return f"{self._log} ends with:\n" + "\n".join(lines[-_LOG_TAIL_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        if self._node:
            self._node.send_signal(number)


def scripts_folder() -> Path | None:
    """Return the folder in which the package keeps RabbitMQ's own scripts.

    Those in /usr/sbin are Debian's wrappers, which switch the user and require /var/lib/rabbitmq.
    """
    listing = output_of("dpkg-query", "--listfiles", "rabbitmq-server", timeout_s=10) or ""
    for line in listing.splitlines():
        if line.startswith("/usr/lib/") and line.endswith("/sbin/rabbitmq-server"):
            return Path(line).parent
    return None


def _lock(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def speaks_amqp(port: int) -> bool:
    """Return whether RabbitMQ answers: Docker's proxy accepts connections long before it does."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as client:
        client.sendall(b"AMQP\x00\x00\x09\x01")
        return client.recv(1) == b"\x01"
    return False


def url_of(port: int) -> str:
    """Return the URL of a new broker on this port."""
    return f"amqp://guest:guest@127.0.0.1:{port}/"
