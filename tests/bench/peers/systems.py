"""The systems that are compared: what each is, and what it promises when it answers 2xx.

Each takes webhooks below `/in/` and publishes each to the topic exchange it is given. The programs
of others are used where they are on the PATH; nothing here installs them.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from deploy.local.private_server import output_of

_VERSION_LIMIT_S = 10.0
_CONFIRMED = "confirmed by RabbitMQ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of others.

    Args:
        name: of the executable.
        arguments: with `{configuration}` for the file.
        check: arguments with which it only checks the file.
        home: where to get it.
    """

    name: str
    arguments: tuple[str, ...]
    check: tuple[str, ...]
    home: str

    def lacks(self) -> str:
        """Return a sentence that says what is missing, "" if nothing."""
        if shutil.which(self.name):
            return ""
        return f"{self.name} is not on the PATH; {self.home} says where to get it."

    def version(self) -> str:
        """Return what it says of itself, in one line."""
        said = output_of(self.name, "--version", timeout_s=_VERSION_LIMIT_S) or ""
        return f"{self.name}: {' '.join(said.split()) or 'of an unknown version'}"


_REDPANDA_CONNECT = Program(
    name="redpanda-connect",
    arguments=("run", "{configuration}"),
    check=("lint", "{configuration}"),
    home="https://docs.redpanda.com/redpanda-connect/install/",
)
_VECTOR = Program(
    name="vector",
    arguments=("--quiet", "--config", "{configuration}"),
    check=("validate", "--no-environment", "{configuration}"),
    home="https://vector.dev/docs/setup/installation/",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One of those compared.

    Args:
        name: as on the command line.
        what: in a table.
        guarantee: what 2xx means.
        settings: of the relay, by section; None if the system is another.
        plain: of `plain_relay`, which kind; "" if the system is another.
        program: of others; None if the system is in this repository.
    """

    name: str
    what: str
    guarantee: str
    settings: Mapping[str, dict[str, Any]] | None = None
    plain: str = ""
    program: Program | None = None

    @property
    def template(self) -> Path:
        """The configuration of a program of others, to be filled in."""
        return Path(__file__).with_name(f"{self.name}.yaml")

    def lacks(self) -> str:
        """Return a sentence that says what is missing to run it, "" if nothing."""
        return self.program.lacks() if self.program else ""

    def configuration(self, *, port: int, url: str, exchange: str, directory: Path) -> str:
        """Return the configuration filled in.

        Raises:
            KeyError: it has a place for something that there is not.
        """
        return Template(self.template.read_text()).substitute(
            PORT=port, URL=with_virtual_host(url), EXCHANGE=exchange, DIRECTORY=directory
        )


OUTBOX, CONFIRM, OBVIOUS = (
    System(
        name="outbox",
        what="**this relay**, with its outbox",
        guarantee="on disk, synced",
        settings={},
    ),
    System(
        name="confirm",
        what='**this relay**, `ack_after = "confirm"`',
        guarantee=_CONFIRMED,
        settings={"ingress": {"ack_after": "confirm"}},
    ),
    System(
        name="obvious",
        what="the obvious relay, aiohttp and aio-pika",
        guarantee=_CONFIRMED,
        plain="robust",
    ),
)
SYSTEMS = (
    OUTBOX,
    CONFIRM,
    OBVIOUS,
    System(
        name="redpanda-connect",
        what="Redpanda Connect",
        guarantee=_CONFIRMED,
        program=_REDPANDA_CONNECT,
    ),
    System(
        name="redpanda-connect-sqlite",
        what="Redpanda Connect, SQLite buffer",
        guarantee="in SQLite, not synced",
        program=_REDPANDA_CONNECT,
    ),
    System(
        name="vector", what="Vector, acknowledgements on", guarantee=_CONFIRMED, program=_VECTOR
    ),
    System(
        name="vector-disk",
        what="Vector, disk buffer",
        guarantee="in its disk buffer, synced every 500 ms",
        program=_VECTOR,
    ),
)


def with_virtual_host(url: str) -> str:
    """Return an AMQP URL that names the virtual host `/`, if it names none.

    By RabbitMQ's URI specification a path of one slash is an empty name; some clients keep to it:
    https://www.rabbitmq.com/docs/uri-spec
    """
    return f"{url.rstrip('/')}/%2f" if urlsplit(url).path in {"", "/"} else url


def versions(systems: Iterable[System]) -> list[str]:
    """Return what the programs of others say of themselves, each once."""
    programs = dict.fromkeys(system.program for system in systems if system.program)
    return [program.version() for program in programs if program]
