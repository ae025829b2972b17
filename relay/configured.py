"""What the settings say, as the values that components and commands take.

The relay's components are put together in app.py.
"""

from collections.abc import Callable

from relay.errors import SettingsError
from relay.events import topology
from relay.events.message import Message, Origin
from relay.ingress.processing import Source
from relay.settings import Settings, SourceSettings, configured_vendor
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
    word, vendor = configured_vendor(dict(section))
    return Source(
        origin=Origin(vendor=word, source=name),
        vendor=vendor,
        secrets=Secrets(resolve_secrets(section.secrets)),
        echo=section.echo or "json",
        allow_from=tuple(section.allow_from),
        expect_every_s=section.expect_every_s,
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
    )


def publish_exchange(settings: Settings) -> str:
    """Return the exchange that events are published to: with a history, the one in front."""
    name = settings.broker.exchange
    return topology.history_exchange(name) if settings.history.enabled else name


def exchange_chooser(settings: Settings) -> Callable[[Message], str]:
    """Return what chooses the exchange of a message: the quarantine's, or that for events."""
    events = publish_exchange(settings)
    quarantine = topology.quarantine_exchange(settings.broker.exchange)
    return lambda message: quarantine if message.is_quarantined else events
