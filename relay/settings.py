"""The relay's settings: its sections, and what each value may be.

Only app.py, configured.py, the commands and the services read them. Components take plain values.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from relay import broker_url, vendors
from relay.errors import SettingsError
from relay.events import ignored_types, request_headers, topology
from relay.events.redaction_rules import MIN_KEY_CHARACTERS, redaction_of
from relay.events.source_rules import SourceRules
from relay.settings_file import File, Section, Strings, load_as, resolve_secrets
from relay.settings_values import ExchangeName, Hosts, Networks, Port, SourceName, Table, is_origin

_MAX_BODY_BYTES = 7 * 1024 * 1024
"""An event holds the vendor's element and the text cut out of it, so up to twice the body.
RabbitMQ 4 closes the channel over a message of more than 16 MiB."""
_MAX_HEADER_BYTES = 1024 * 1024
"""Each connection may hold so much before anything is known of its caller."""
_MIN_OUTBOX_BYTES = 1024 * 1024
"""For each worker."""
_MAX_EXPECTED_S = 604_800
"""A week: so far back does the alert look."""
_MIN_TOKEN_CHARACTERS = 8
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104  compared


class IngressSettings(Section):
    """The public listener."""

    host: Hosts = "0.0.0.0"  # noqa: S104  the point of an ingress
    port: Port = 8080
    workers: int = Field(default=1, ge=1, le=64)
    ack_after: Literal["outbox", "confirm"] = "outbox"
    body_limit_bytes: int = Field(default=5_242_880, ge=1, le=_MAX_BODY_BYTES)
    bodies_limit_bytes: int = Field(default=67_108_864, ge=2 * _MAX_BODY_BYTES)
    header_limit_bytes: int = Field(default=32_768, ge=256, le=_MAX_HEADER_BYTES)
    header_limit_count: int = Field(default=200, ge=1, le=10_000)
    max_connections: int = Field(default=5_000, ge=1, le=100_000)
    read_timeout_s: float = Field(default=10, gt=0)
    keepalive_s: float = Field(default=75, gt=0)
    shutdown_grace_s: float = Field(default=20, ge=0)
    trusted_proxies: Networks = Field(default=[])


class AdminSettings(Section):
    """The listener for probes and metrics."""

    host: str = "127.0.0.1"
    port: Port = 9090


class BrokerSettings(Section):
    """RabbitMQ."""

    urls: Strings = Field(default=["amqp://guest:guest@127.0.0.1:5672/"], min_length=1, repr=False)
    exchange: ExchangeName = "webhooks"
    declare_topology: bool = True
    heartbeat_s: int = Field(default=10, ge=1, le=600)
    confirm_timeout_s: float = Field(default=30, gt=0)
    max_in_flight: int = Field(default=2000, ge=1, le=100_000)
    unrouted_max_length: int = Field(default=1_000_000, ge=1)
    quarantine_max_length: int = Field(default=100_000, ge=1)

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        """Check what they refer to, but keep the references: a password may change later."""
        problems = []
        for url in urls:
            try:
                broker_url.read(url)
            except ValueError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return urls


class HistorySettings(Section):
    """A stream of past events, to replay from."""

    enabled: bool = False
    max_age_s: int = Field(default=604_800, ge=60)
    max_bytes: int = Field(default=10_737_418_240, ge=10_000_000)


class OutboxSettings(Section):
    """The local disk."""

    directory: Path = Path("var/outbox")
    on_corrupt: Literal["set-aside", "fail"] = "set-aside"
    write_timeout_s: float = Field(default=10, gt=0)
    max_bytes: int = Field(default=10_737_418_240, ge=_MIN_OUTBOX_BYTES)


class LogSettings(Section):
    """Logging."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TracingSettings(Section):
    """OpenTelemetry spans. OpenTelemetry's own OTEL_ variables set everything else."""

    enabled: bool = False

    @field_validator("enabled")
    @classmethod
    def _check_enabled(cls, enabled: bool) -> bool:  # noqa: FBT001  pydantic's signature
        if enabled and not find_spec("opentelemetry"):
            raise ValueError("OpenTelemetry is not installed; install relay with its extra: [otel]")
        return enabled


class ConsoleTokens(Section):
    """Who may open the console, by role: the secrets that log somebody in."""

    viewer: Strings = Field(default=[], repr=False)
    reader: Strings = Field(default=[], repr=False)
    operator: Strings = Field(default=[], repr=False)

    @field_validator("viewer", "reader", "operator")
    @classmethod
    def _check_tokens(cls, tokens: list[str]) -> list[str]:
        for token in resolve_secrets(tokens):
            if len(token) < _MIN_TOKEN_CHARACTERS:
                raise ValueError(f"one has less than {_MIN_TOKEN_CHARACTERS} characters")
        return tokens


class ConsoleSettings(Section):
    """The web page of `relay console`."""

    host: str = "127.0.0.1"
    port: Port = 9080
    hosts: Strings = Field(default=[])
    receivers: Strings = Field(default=[])
    services: dict[SourceName, str] = Field(default={})
    tokens: ConsoleTokens = ConsoleTokens()
    trusted_proxies: Networks = Field(default=[])

    @field_validator("receivers")
    @classmethod
    def _check_receivers(cls, receivers: list[str]) -> list[str]:
        for url in receivers:
            if not is_origin(url):
                raise ValueError(f"{url!r} is neither http://HOST:PORT nor dns://NAME:PORT")
        return receivers

    @field_validator("services")
    @classmethod
    def _check_services(cls, services: dict[str, str]) -> dict[str, str]:
        for name, url in services.items():
            if url and not is_origin(url):
                raise ValueError(f"{name}: {url!r} is neither http://HOST:PORT nor empty")
        return services


class SourceSettings(Section):
    """One endpoint. The check of a field may look at the fields above it."""

    vendor: str
    insecure: bool = False
    secrets: Strings = Field(default=[], repr=False, validate_default=True)
    allow_from: Networks = Field(default=[])
    expect_every_s: float = Field(default=0, ge=0, le=_MAX_EXPECTED_S)
    echo: Literal["json", "text", "mirror"] | None = None
    exchange: ExchangeName | None = None
    headers: Strings = Field(default=[])
    redact: Table = Field(default={})
    redaction_key: str | None = Field(default=None, repr=False, validate_default=True)
    ignore: Strings = Field(default=[])
    preset: Any = None
    verify: Any = None
    challenge: Any = None
    event: Any = Field(default=None, validate_default=True)  # the last: its check is of all four

    @field_validator("vendor")
    @classmethod
    def _check_vendor(cls, vendor: str) -> str:
        if not vendors.find(vendor) and vendor not in vendors.configurable():
            raise ValueError(f"{vendor!r} is none of {', '.join(vendors.names())}")
        return vendor

    @field_validator("secrets")
    @classmethod
    def _check_secrets(cls, secrets: list[str], info: ValidationInfo) -> list[str]:
        is_insecure = info.data.get("insecure", False)
        if not secrets and not is_insecure:
            raise ValueError("there is none; set it, or insecure = true to let everyone in")
        if secrets and is_insecure:
            raise ValueError("insecure = true makes them useless; remove one of the two")
        resolve_secrets(secrets)
        return secrets

    @field_validator("echo")
    @classmethod
    def _check_echo(cls, echo: str, info: ValidationInfo) -> str:
        vendor = info.data.get("vendor")
        known = vendors.find(vendor or "")
        if vendor and echo and not (known and vendors.echoes(known)):
            raise ValueError(f"{vendor} wants no token read back; remove it")
        return echo

    @field_validator("exchange")
    @classmethod
    def _check_exchange(cls, exchange: str | None) -> str | None:
        if exchange is not None:
            topology.check_source_exchange(exchange)
        return exchange

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: list[str]) -> list[str]:
        return list(request_headers.names_of(headers))

    @field_validator("redact")
    @classmethod
    def _check_redact(cls, redact: dict[str, str]) -> dict[str, str]:
        redaction_of(redact, "")
        return redact

    @field_validator("redaction_key")
    @classmethod
    def _check_redaction_key(cls, key: str | None, info: ValidationInfo) -> str | None:
        if key is None:
            if "pseudonym" in info.data.get("redact", {}).values():
                raise ValueError("there is none, but redact makes pseudonyms")
        elif len(resolve_secrets([key])[0]) < MIN_KEY_CHARACTERS:
            raise ValueError(f"it has fewer than {MIN_KEY_CHARACTERS} characters")
        return key

    @field_validator("event")
    @classmethod
    def _check_options(cls, event: object, info: ValidationInfo) -> object:
        if "vendor" in info.data and "secrets" in info.data:
            try:
                _, vendor = configured_vendor(info.data | {"event": event})
                _ignored_by(info.data.get("ignore", []), vendor)
            except SettingsError as error:
                problems = {"problems": list(error.problems)}
                raise PydanticCustomError("several", "several", problems) from error
        return event


_OPTIONS = ("preset", "verify", "challenge", "event")


def configured_vendor(section: Mapping[str, Any]) -> tuple[str, vendors.Vendor]:
    """Return the name that a source's events give their vendor, and the vendor's code.

    Args:
        section: the settings of the source, by name.

    Raises:
        SettingsError: as `vendors.configure`.
    """
    name = section["vendor"]
    options = {key: section[key] for key in _OPTIONS if section.get(key) is not None}
    for table, key in vendors.secret_options(name):
        values = options.get(table)
        if isinstance(values, Mapping) and (secret := values.get(key)):
            try:
                secrets = resolve_secrets([secret] if type(secret) is str else list(secret))
            except (AttributeError, TypeError, ValueError) as error:
                raise SettingsError([f"{table}.{key}: {error}"]) from error
            options[table] = {**values, key: secrets}
    return vendors.configure(name, options, resolve_secrets(section["secrets"]))


def _ignored_by(patterns: list[str], vendor: vendors.Vendor) -> re.Pattern[str] | None:
    try:
        return ignored_types.pattern_of(patterns, vendors.types(vendor))
    except ValueError as error:
        raise SettingsError([f"ignore: {error}"]) from error


def rules_of(section: SourceSettings, vendor: vendors.Vendor) -> SourceRules | None:
    """Return what a source's settings change of its messages; None for nothing.

    Raises:
        SettingsError: as `configured_vendor`.
    """
    if not (section.redact or section.headers or section.ignore):
        return None
    try:
        key = resolve_secrets([section.redaction_key])[0] if section.redaction_key else None
    except ValueError as error:
        raise SettingsError([f"redaction_key: {error}"]) from error
    return SourceRules(
        redaction=redaction_of(section.redact, key) if section.redact else None,
        headers=tuple(section.headers),
        ignored=_ignored_by(section.ignore, vendor),
    )


class Settings(File):
    """All settings of the relay. A consumer checks its own section."""

    ingress: IngressSettings = IngressSettings()
    admin: AdminSettings = AdminSettings()
    broker: BrokerSettings = BrokerSettings()
    history: HistorySettings = HistorySettings()
    outbox: OutboxSettings = OutboxSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    console: ConsoleSettings = ConsoleSettings()
    sources: dict[SourceName, SourceSettings] = Field(default={})
    consumers: dict[str, dict[str, Any]] = Field(default={})

    @field_validator("admin")
    @classmethod
    def _check_admin(cls, admin: AdminSettings, info: ValidationInfo) -> AdminSettings:
        ingress: IngressSettings | None = info.data.get("ingress")
        if ingress and admin.port and admin.port == ingress.port:
            taken = [ingress.host] if isinstance(ingress.host, str) else ingress.host
            if admin.host in taken or _EVERYWHERE.intersection({admin.host, *taken}):
                raise ValueError(f"port {admin.port} is ingress.port, too; set it to another")
        return admin

    @field_validator("outbox")
    @classmethod
    def _check_outbox(cls, outbox: OutboxSettings, info: ValidationInfo) -> OutboxSettings:
        workers = info.data["ingress"].workers if "ingress" in info.data else 1
        min_bytes = workers * _MIN_OUTBOX_BYTES
        if outbox.max_bytes < min_bytes:
            raise ValueError(f"max_bytes must be at least {min_bytes} for {workers} workers")
        return outbox


def load(path: Path | None = None) -> Settings:
    """Read the relay's settings from path, or RELAY_CONFIG, or relay.toml if it is there.

    Raises:
        SettingsError: with one sentence per problem.
    """
    return load_as(Settings, path)
