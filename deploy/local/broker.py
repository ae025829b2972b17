"""A RabbitMQ for `make run`, `make demo` and the tests: a given one, or a private one.

A broker that already runs on this machine is used only if `RELAY_BROKER__URLS` names it. Only what
this module started is ever stopped or signalled. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from typing import TYPE_CHECKING

from deploy.local import package
from deploy.local.node import (
    INSTALL_ADVICE,
    START_LIMIT_S,
    URLS_VARIABLE,
    BrokerError,
    PrivateBroker,
    scripts_folder,
    speaks_amqp,
    url_of,
)
from deploy.local.private_server import Guard, eventually, free_port, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["URLS_VARIABLE", "BrokerError", "DockerBroker", "PrivateBroker", "open_broker"]

DOCKER_IMAGE = "rabbitmq:4-alpine"

# The first start of a container may have to download its image.
_DOWNLOAD_LIMIT_S = 600.0
_DOCKER_LIMIT_S = 30.0


class DockerBroker:
    """A RabbitMQ container of our own, published on loopback only; it leaves no data behind."""

    def __init__(self) -> None:
        self.port = free_port()
        self._name = f"relay-broker-{os.getpid()}-{self.port}"
        self._guard: Guard | None = None

    @property
    def url(self) -> str:
        """The AMQP URL."""
        return url_of(self.port)

    def start(self) -> None:
        """Start the container and return once it answers AMQP.

        Raises:
            BrokerError: It did not start; nothing is left running.
        """
        self._guard = Guard("docker", "rm", "--force")
        self._guard.watch(self._name)
        publish = f"127.0.0.1:{self.port}:5672"
        command = ("docker", "run", "--detach", "--rm", "--name", self._name, "--publish", publish)
        runs = output_of(*command, DOCKER_IMAGE, timeout_s=_DOWNLOAD_LIMIT_S) is not None
        if not runs or not eventually(lambda: speaks_amqp(self.port), START_LIMIT_S):
            self.stop()
            raise BrokerError(f"Docker could not run {DOCKER_IMAGE}.")

    def stop(self) -> None:
        """Remove the container."""
        output_of("docker", "rm", "--force", self._name, timeout_s=_DOCKER_LIMIT_S)
        if self._guard:
            self._guard.disarm()
            self._guard = None


def docker_available() -> bool:
    """Return whether a Docker engine answers."""
    return output_of("docker", "info", timeout_s=_DOCKER_LIMIT_S) is not None


def installed() -> bool:
    """Return whether the Debian package rabbitmq-server is installed."""
    return scripts_folder() is not None


def install() -> None:
    """Install the Debian package rabbitmq-server without starting its service.

    Raises:
        BrokerError: That cannot be done here; the message says what to install.
    """
    units = ["rabbitmq-server.service"]
    if shutil.which("epmd") is None:  # it comes with the package
        units += ["epmd.service", "epmd.socket"]
    try:
        package.install("rabbitmq-server", units=units)
    except package.PackageError as error:
        raise BrokerError(f"{INSTALL_ADVICE} {error}".rstrip()) from error
    if not installed():
        raise BrokerError(INSTALL_ADVICE)


def ensure() -> None:
    """Install the package if there is no other way to get a broker; start nothing.

    Raises:
        BrokerError: It cannot be installed here; the message says what to do.
    """
    if not (os.environ.get(URLS_VARIABLE) or docker_available() or installed()):
        install()


@contextlib.contextmanager
def open_broker(directory: Path) -> Iterator[str]:
    """Yield the URL of the given broker, else of a private one that ends with this context.

    Args:
        directory: Where a private node lives, if one is needed.

    Raises:
        BrokerError: None is given and none could be started; the message says what to do.
    """
    given = os.environ.get(URLS_VARIABLE)
    if given:
        yield given
        return
    broker = _start_container() or _start_node(directory)
    try:
        yield broker.url
    finally:
        broker.stop()


def _start_container() -> DockerBroker | None:
    if not docker_available():
        return None
    _say(f"starting RabbitMQ from the Docker image {DOCKER_IMAGE}")
    broker = DockerBroker()
    try:
        broker.start()
    except BrokerError as error:  # an engine that answers may still be unable to get the image
        _say(f"{error} Trying the Debian package instead.")
        return None
    return broker


def _start_node(directory: Path) -> PrivateBroker:
    if not installed():
        install()
    _say("starting a private RabbitMQ")
    broker = PrivateBroker(directory)
    broker.start()
    return broker


def _say(progress: str) -> None:
    sys.stderr.write(f"{progress}\n")


def main() -> int:
    """Make sure that a broker can be opened."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.broker", description=__doc__)
    parser.add_argument(
        "--ensure", action="store_true", required=True, help="install RabbitMQ if there is none"
    )
    parser.parse_args()
    try:
        ensure()
    except BrokerError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
