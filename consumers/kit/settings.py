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

    prefetch: int = Field(default=100, ge=1, le=2000)  # 2000: the most a quorum queue gives
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

    @model_validator(mode="after")
    def _check_waits(self) -> Self:
        longest_s = self.handler_timeout_s * self.prefetch / self.concurrency
        if longest_s > _CONSUMER_TIMEOUT_S:
            raise ValueError(
                f"prefetch * handler_timeout_s / concurrency is {longest_s:g} s, and RabbitMQ "
                f"takes a message back after {_CONSUMER_TIMEOUT_S} s; lower prefetch"
            )
        return self


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
    values: dict[str, Any] = {}
    for name in (service, service.replace("-", "_")):
        values |= shared.consumers.get(name, {})
    try:
        return shared, kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError(list(sentences(error, f"consumers.{service}."))) from error
