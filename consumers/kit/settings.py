"""A service's settings: its section `[consumers.<name>]`, and what it shares with the relay."""

from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from relay.errors import SettingsError
from relay.settings import (
    AdminSettings,
    BrokerSettings,
    File,
    LogSettings,
    Section,
    listed,
    load_as,
    sentences,
)

_PREFETCH = 100
_CONSUMER_TIMEOUT_S = 1800
"""RabbitMQ closes the channel of a consumer that leaves a message unanswered for so long
(https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)."""


class SharedSettings(File):
    """What of the file concerns a service. The relay's own sections, with secrets, do not."""

    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()
    consumers: dict[str, dict[str, Any]] = Field(default={})
    ingress: Any = None
    admin: Any = None
    history: Any = None
    outbox: Any = None
    sources: Any = None


class ConsumerAdminSettings(AdminSettings):
    """The listener for probes and metrics; port 0 takes a free one and logs it."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0


class ConsumerSettings(Section):
    """What every service's section may set. A service with more settings derives from it."""

    prefetch: int | None = Field(default=None, ge=1, le=2000)  # a quorum queue gives no more
    concurrency: int = Field(default=16, ge=1, le=1000)
    handler_timeout_s: float = Field(default=60, gt=0, le=_CONSUMER_TIMEOUT_S / 2)
    retry_delays_s: Annotated[
        list[Annotated[float, Field(ge=0.001, le=86_400)]],
        BeforeValidator(listed),
    ] = Field(default=[1, 10, 60, 600], max_length=20)
    dead_max_length: int = Field(default=1_000_000, ge=1)
    seen: str = Field(default="sqlite:var/seen.db", repr=False)
    seen_for_s: int = Field(default=604_800, ge=60)
    shutdown_grace_s: float = Field(default=20, ge=0)
    admin: ConsumerAdminSettings = ConsumerAdminSettings()

    @property
    def most_in_hand(self) -> int:
        """How many messages are delivered at the same time: `prefetch`, or 100 if that is safe."""
        return self.prefetch or min(_PREFETCH, self._most_in_time())

    @model_validator(mode="after")
    def _check_prefetch(self) -> Self:
        if self.prefetch and self.prefetch > self._most_in_time():
            raise ValueError(
                f"with prefetch = {self.prefetch} a message may wait longer than RabbitMQ's "
                f"{_CONSUMER_TIMEOUT_S} s; leave it out, or lower it to {self._most_in_time()}"
            )
        return self

    def _most_in_time(self) -> int:
        """Return how many messages are dealt with in time though each handler takes all of its."""
        return int(_CONSUMER_TIMEOUT_S * self.concurrency / self.handler_timeout_s)


SectionT = TypeVar("SectionT", bound=ConsumerSettings)


def load(
    service: str, kind: type[SectionT], path: Path | None = None
) -> tuple[SharedSettings, SectionT]:
    """Read the settings of a service from the file and the environment.

    In the environment a `-` of its name is a `_`: RELAY_CONSUMERS__CRM_SYNC__PREFETCH=10.

    Raises:
        SettingsError: with one sentence per problem.
    """
    shared = load_as(SharedSettings, path)
    values = shared.consumers.get(service, {})
    if (name := service.replace("-", "_")) != service:
        values = _merged(values, shared.consumers.get(name, {}))
    try:
        return shared, kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError(list(sentences(error, f"consumers.{service}"))) from error


def _merged(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return both, with what upper says before what lower says, also of tables within."""
    merged = {**lower, **upper}
    for name in lower.keys() & upper.keys():
        if isinstance(lower[name], dict) and isinstance(upper[name], dict):
            merged[name] = _merged(lower[name], upper[name])
    return merged
