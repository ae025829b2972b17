"""What the console watches, out of the settings: the one module here that reads them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aio_pika.abc import AbstractConnection

from consumers.archive.record import Archive
from consumers.archive.service import NAME as ARCHIVE
from consumers.archive.service import archive_at
from consumers.kit.queues.topology import dead_queue
from relay.broker.connection import public_address, read_url
from relay.cli.connection import watching
from relay.configured import exchange_chooser, source_exchanges, sources_of, topology_of
from relay.console.access import Access, Role
from relay.console.watching.history import PolledHistory
from relay.console.watching.polling import Poller
from relay.console.watching.queues import QueueWatch
from relay.errors import BrokerError, SettingsError
from relay.events.message import Message
from relay.events.topology import Topology, history_exchange, quarantine_exchange, unrouted_exchange
from relay.settings import BrokerSettings, Settings, load
from relay.settings_file import listed, resolve_secrets

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_SHOWN_SECTIONS = ("ingress", "admin", "broker", "history", "outbox", "log", "tracing", "console")
_HINT = "set console.tokens, or console.trusted_proxies for a proxy that says who somebody is."
_NOT_SHOWN = {"urls", "tokens"}
_LOOK_EVERY_S = 1.0

log = structlog.get_logger("relay")


class Deployment:
    """The relay that the settings describe, with its services.

    Sources are those that the file has by now, if `follow` runs; the rest is as at the start.

    Args:
        settings: of the relay.

    Raises:
        SettingsError: the console would be open to everyone, or there is no source.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.has_problems = False
        """Whether the file has changed, and can't be read."""
        self._version = _version(settings.file)
        self.console = settings.console
        self.sources = sources_of(settings)
        self.exchange = settings.broker.exchange
        self.quarantine = quarantine_exchange(self.exchange)
        self.unrouted = unrouted_exchange(self.exchange)
        self.services = dict(self.console.services)
        self.access = Access(tokens=self._tokens(), proxies=self.console.trusted_proxies)
        if self.access.is_open and self.console.host not in _LOOPBACK:
            raise SettingsError([f"console.host = {self.console.host!r} lets everyone in; {_HINT}"])

    async def follow(self, every_s: float = _LOOK_EVERY_S) -> None:
        """Read the sources again whenever the file changes, for ever; a bad file is logged.

        The relay does so upon SIGHUP, which need not come here.
        """
        while True:
            await asyncio.sleep(every_s)
            version = _version(self.settings.file)
            if version is None or version == self._version:
                continue
            self._version = version
            try:
                settings = await asyncio.to_thread(load, self.settings.file)
                sources = await asyncio.to_thread(sources_of, settings)
            except SettingsError as error:
                self.has_problems = True
                log.warning("console keeps its settings", problems=error.problems)
                continue
            self.has_problems = False
            self.settings = self.settings.model_copy(update={"sources": settings.sources})
            self.sources = sources
            log.info("console has new sources", sources=sorted(sources))

    def _tokens(self) -> dict[Role, list[str]]:
        tokens = self.console.tokens
        return {
            Role.VIEWER: resolve_secrets(tokens.viewer),
            Role.READER: resolve_secrets(tokens.reader),
            Role.OPERATOR: resolve_secrets(tokens.operator),
        }

    @property
    def broker(self) -> BrokerSettings:
        """How to reach RabbitMQ."""
        return self.settings.broker

    @property
    def receivers(self) -> Sequence[str]:
        """Admin URLs of receivers; without any in the settings the one that they describe."""
        admin = self.settings.admin
        host = f"[{admin.host}]" if ":" in admin.host else admin.host
        own = f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{admin.port}"  # noqa: S104  replaced
        return self.console.receivers or [own]

    @property
    def hosts(self) -> Sequence[str]:
        """Names by which browsers may reach the console."""
        return [*self.console.hosts, self.console.host]

    @property
    def dead_queues(self) -> Sequence[str]:
        """The queues of what the services gave up."""
        return [*map(dead_queue, self.services)]

    @property
    def exchange_of(self) -> Callable[[Message], str]:
        """Where to publish a message."""
        return exchange_chooser(self.settings)

    @property
    def has_history(self) -> bool:
        """Whether past events are kept in a stream."""
        return self.settings.history.enabled

    @property
    def feed_exchanges(self) -> Sequence[str]:
        """Exchanges that see every event; with a history those in front of the events' own."""
        own = [self.exchange, *source_exchanges(self.settings).values()]
        chosen = map(history_exchange, own) if self.has_history else own
        return sorted(set(chosen))

    @property
    def bindings(self) -> Mapping[str, Sequence[str]]:
        """The patterns of the services whose sections name some; the archive takes all."""
        found = {name: section.get("bindings") for name, section in
                 self.settings.consumers.items()}  # fmt: skip
        found = {name: ["#"] if name == ARCHIVE else found.get(name) for name in self.services} | {
            name: patterns for name, patterns in found.items() if patterns
        }
        return {name: listed_patterns(patterns) for name, patterns in found.items() if patterns}

    @property
    def archive(self) -> tuple[Archive | None, str]:
        """The archive that these settings name, and what it is; None where they name none."""
        section = self.settings.consumers.get(ARCHIVE, {})
        if "database" not in section:
            return None, ""
        try:
            (database,) = resolve_secrets([str(section["database"])])
            kind = "the archive in PostgreSQL" if "postgres" in database else "the archive"
            return archive_at(database), kind
        except ValueError as error:
            raise SettingsError([f"consumers.archive.database: {error}."]) from error

    @property
    def topology(self) -> Topology:
        """What the relay needs in RabbitMQ."""
        return topology_of(self.settings)

    def connecting(self) -> AbstractAsyncContextManager[AbstractConnection]:
        """Connect to RabbitMQ; see relay.cli.connection.watching."""
        return watching(self.broker)

    def queue_watch(self) -> QueueWatch:
        """Return what asks RabbitMQ for the queues that wait for a person."""
        return QueueWatch(
            self.connecting,
            quarantine=self.quarantine,
            unrouted=self.unrouted,
            dead=self.dead_queues,
        )

    def poller(
        self, http: aiohttp.ClientSession, queues: QueueWatch, history: PolledHistory
    ) -> Poller:
        """Return what asks the receivers and the services."""
        return Poller(
            http=http,
            receivers=self.receivers,
            services=self.services,
            queues=queues,
            history=history,
        )

    def broker_addresses(self) -> list[str]:
        """Return the brokers' addresses, without passwords."""
        found = []
        for url in self.broker.urls:
            try:
                found.append(public_address(read_url(url)))
            except BrokerError as error:
                found.append(str(error))
        return found

    def shown_settings(self) -> list[tuple[str, list[tuple[str, Any]]]]:
        """Return the settings by section, without anything that is, or may hold, a secret."""
        sections = [
            (name, _shown(getattr(self.settings, name).model_dump())) for name in _SHOWN_SECTIONS
        ]
        for name, source in self.settings.sources.items():
            values = source.model_dump(include={"vendor", "insecure", "allow_from"})
            values["secrets"] = len(source.secrets)
            sections.append((f"sources.{name}", _shown(values)))
        return sections


def _version(file: Path | None) -> tuple[int, ...] | None:
    """Return what changes with a file; None if there is none, such as for a moment now."""
    with contextlib.suppress(OSError):
        if file:
            status = file.stat()
            return status.st_mtime_ns, status.st_size, status.st_ino
    return None


def listed_patterns(patterns: Any) -> list[str]:
    """Return patterns as a list of texts."""
    found = listed(patterns)
    return list(map(str, found)) if isinstance(found, list) else []


def _shown(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, _written(value)) for name, value in values.items() if name not in _NOT_SHOWN]


def _written(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join([f"{name} {url}".strip() for name, url in value.items()]) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
