"""What the settings say, as the values that components and commands take.

The relay's components are put together in app.py.
"""

from collections.abc import Callable

from relay.errors import SettingsError
from relay.events import amqp, topology
from relay.events.message import Message, Origin
from relay.ingress.processing import Source
from relay.settings import Settings, SourceSettings, configured_vendor, rules_of
from relay.settings_file import resolve_secrets
from relay.vendors.kit.authentication import Secrets


def sources_of(settings: Settings) -> dict[str, Source]:
    """Return the configured endpoints, with their secrets.

    Raises:
        SettingsError: no source is configured, or a secret can't be read any more.
    """
    if not settings.sources:
        hint = "" if settings.file else " No relay.toml was found here, and no --config given."
        raise SettingsError(
            [f"sources: there is none; add a section such as [sources.swiftsell].{hint}"]
        )
    sources, problems = {}, []
    for name, section in settings.sources.items():
        try:
            sources[name] = _source(name, section)
        except SettingsError as error:
            problems += [f"sources.{name}.{problem}." for problem in error.problems]
        except ValueError as error:
            problems.append(f"sources.{name}.secrets: {error}.")
    if problems:
        raise SettingsError(problems)
    return sources


def _source(name: str, section: SourceSettings) -> Source:
    vendor_name, vendor = configured_vendor(dict(section))
    return Source(
        origin=Origin(vendor=vendor_name, source=name),
        vendor=vendor,
        secrets=Secrets(resolve_secrets(section.secrets)),
        echo=section.echo or "json",
        allow_from=tuple(section.allow_from),
        expect_every_s=section.expect_every_s,
        rules=rules_of(section, vendor),
    )


def topology_of(settings: Settings) -> topology.Topology:
    """Return what the relay needs on the broker."""
    broker, history = settings.broker, settings.history
    bounds = topology.History(max_age_s=history.max_age_s, max_bytes=history.max_bytes)
    return topology.topology(
        broker.exchange,
        unrouted_max_length=broker.unrouted_max_length,
        quarantine_max_length=broker.quarantine_max_length,
        history=bounds if history.enabled else None,
        others=sorted(set(source_exchanges(settings).values())),
    )


def source_exchanges(settings: Settings) -> dict[str, str]:
    """Return the exchanges of those sources that have one of their own, by source."""
    return {
        name: section.exchange
        for name, section in settings.sources.items()
        if section.exchange and section.exchange != settings.broker.exchange
    }


def exchange_chooser(settings: Settings) -> Callable[[Message], str]:
    """Return what chooses the exchange of a message: the quarantine's, or that for its events.

    With a history, that is the one in front of these.
    """
    events = _front(settings, settings.broker.exchange)
    quarantine = topology.quarantine_exchange(settings.broker.exchange)
    of_sources = {
        name: _front(settings, exchange) for name, exchange in source_exchanges(settings).items()
    }
    if not of_sources:
        return lambda message: quarantine if message.is_quarantined else events

    def choose(message: Message) -> str:
        if message.is_quarantined:
            return quarantine
        return of_sources.get(amqp.source_in(message.properties) or "", events)

    return choose


def _front(settings: Settings, exchange: str) -> str:
    return topology.history_exchange(exchange) if settings.history.enabled else exchange
