"""A service's settings: its section `[consumers.<name>]`, and what it shares with the relay."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from consumers.kit.consumer import Consumer
from relay.errors import SettingsError
from relay.settings import (
    AdminSettings,
    BrokerSettings,
    LogSettings,
    TracingSettings,
)
from relay.settings_file import File, Section, listed, load_as, sentences
from relay.settings_values import ExchangeName

_PREFETCH = 100
_MAX_PREFETCH = 2000  # a quorum queue allows no more
_CONSUMER_TIMEOUT_S = 1800
"""RabbitMQ closes the channel of a consumer that leaves a message unanswered for so long
(https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)."""


def _patterns(patterns: list[str]) -> list[str]:
    Consumer("any", bindings=patterns)  # checks them
    return patterns


Bindings = Annotated[list[str], BeforeValidator(listed), AfterValidator(_patterns)]
"""Patterns of routing keys, where a service's settings name them."""


class _Sections(File):
    """The services' own sections. The other sections are not checked."""

    consumers: dict[str, dict[str, Any]] = Field(default={})
    broker: Any = None
    log: Any = None
    tracing: Any = None
    ingress: Any = None
    admin: Any = None
    history: Any = None
    outbox: Any = None
    console: Any = None
    sources: Any = None


class SharedSettings(_Sections):
    """The sections that every service uses; not those with the relay's secrets."""

    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()


class ConsumerAdminSettings(AdminSettings):
    """The listener for probes and metrics; port 0 chooses a free one and logs it."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0


class ConsumerSettings(Section):
    """What every service's section may set. A service with more settings derives from it."""

    exchange: Literal[""] | ExchangeName = ""
    prefetch: int | None = Field(default=None, ge=1, le=_MAX_PREFETCH)
    concurrency: int = Field(default=16, ge=1, le=1000)
    handler_timeout_s: float = Field(default=60, gt=0, le=_CONSUMER_TIMEOUT_S / 2)
    retry_delays_s: Annotated[
        list[Annotated[float, Field(ge=0.001, le=86_400)]],
        BeforeValidator(listed),
    ] = Field(default=[1, 10, 60, 600], max_length=20)
    single_active: bool = False
    dead_max_length: int = Field(default=1_000_000, ge=1)
    seen: str = Field(default="sqlite:var/seen.db", repr=False)
    seen_for_s: int = Field(default=604_800, ge=60)
    shutdown_grace_s: float = Field(default=20, ge=0)
    admin: ConsumerAdminSettings = ConsumerAdminSettings()

    def max_in_hand(self, batch_limit: int = 1) -> int:
        """Return how many messages are delivered at the same time.

        Args:
            batch_limit: how many a handler takes at once.

        Returns:
            `prefetch`; without it 100, or a whole batch, if that is safe.
        """
        wanted = min(max(_PREFETCH, batch_limit), _MAX_PREFETCH)
        return self.prefetch or min(wanted, self._max_in_time(batch_limit))

    @model_validator(mode="after")
    def _check_prefetch(self) -> Self:
        if self.prefetch and self.prefetch > self._max_in_time():
            raise ValueError(
                f"with prefetch = {self.prefetch} a message may wait longer than RabbitMQ's "
                f"{_CONSUMER_TIMEOUT_S} s; leave it out, or lower it to {self._max_in_time()}"
            )
        return self

    @property
    def handled_at_once(self) -> int:
        """How many messages are handled at the same time; a service with batches says more."""
        return self.concurrency

    def _max_in_time(self, batch_limit: int = 1) -> int:
        """Return how many messages are handled in time even if each takes as long as it may."""
        at_once = max(self.handled_at_once, batch_limit)
        return int(_CONSUMER_TIMEOUT_S * at_once / self.handler_timeout_s)


SectionT = TypeVar("SectionT", bound=ConsumerSettings)


def load(
    service: str, kind: type[SectionT], path: Path | None = None
) -> tuple[SharedSettings, SectionT]:
    """Read the settings of a service from the file and the environment.

    In the environment a `-` of its name is a `_`: RELAY_CONSUMERS__CRM_SYNC__PREFETCH=10.

    Raises:
        SettingsError: with one sentence per problem.
    """
    try:
        shared = load_as(SharedSettings, path)
    except SettingsError as error:
        raise SettingsError([*error.problems, *_other_problems(service, kind, path)]) from error
    if problems := list(_problems(service, kind, shared)):
        raise SettingsError(problems)
    return shared, kind.model_validate(_values(service, shared))


def _other_problems(service: str, kind: type[ConsumerSettings], path: Path | None) -> list[str]:
    """Return the problems of the service's section in a file that has other problems as well."""
    try:
        return list(_problems(service, kind, load_as(_Sections, path)))
    except SettingsError:
        return []


def _problems(service: str, kind: type[ConsumerSettings], shared: _Sections) -> Iterator[str]:
    try:
        kind.model_validate(_values(service, shared))
    except ValidationError as error:
        yield from sentences(error, f"consumers.{service}")


def _values(service: str, shared: _Sections) -> dict[str, Any]:
    values = shared.consumers.get(service, {})
    if (name := service.replace("-", "_")) != service:
        values = _merged(values, shared.consumers.get(name, {}))
    return values


def _merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return both merged, also tables within them; upper has precedence."""
    merged = {**lower, **upper}
    for name in lower.keys() & upper.keys():
        if isinstance(lower[name], dict) and isinstance(upper[name], dict):
            merged[name] = _merged(lower[name], upper[name])
    return merged
