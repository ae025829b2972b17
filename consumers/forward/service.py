"""Forward events to HTTP endpoints, signed by the Standard Webhooks specification.

Each endpoint is a consumer of its own, `forward-<endpoint>`, with its own queue, retries and dead
letters: one that is down or refuses events does not affect the others.
"""

import math
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

from prometheus_client import CollectorRegistry, Gauge
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from yarl import URL

from consumers.forward.breaker import CircuitBreaker
from consumers.forward.endpoint import Endpoint
from consumers.forward.networks import EVERYWHERE, Network, is_allowed
from consumers.forward.request_settings import (
    CLOUDEVENTS,
    check_content_type,
    check_headers,
    check_proxy,
)
from consumers.forward.sender import Destination, EventSender, open_http
from consumers.forward.signature import key_of
from consumers.kit import Consumer, ConsumerSettings
from consumers.kit.consuming.decision import MAX_WAIT_S
from consumers.kit.settings import Bindings, ConsumerAdminSettings
from relay.settings_file import Section, Strings, resolve_secrets
from relay.settings_values import Networks, Port

NAME = "forward"

_ENDPOINT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,55}")  # with `forward-` up to 64
_FIRST_PAUSE_S = 5.0
_NO_URL = "it must be https://host/path"
_MARGIN_S = 5.0  # a handler's time beside the request's


def _endpoint_name(name: str) -> str:
    if not _ENDPOINT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: up to 56 of a-z, 0-9, _ and -")
    return name


def _private_networks(value: object) -> object:
    """Read true as all networks and false as none."""
    match str(value).lower():
        case "true":
            return list(EVERYWHERE)
        case "false":
            return []
        case _:
            return value


_PrivateNetworks = Annotated[Networks, BeforeValidator(_private_networks)]


def _is_refused(host: str, networks: Sequence[Network]) -> bool:
    """Return whether host is an address that may not be called; a name is checked when called."""
    try:
        return not is_allowed(host, networks)
    except ValueError:
        return False


class EndpointSettings(Section):
    """One endpoint. The check of a field may use the fields above it.

    The URL is https. Plain http shows everybody on the way what customers wrote, so it needs
    allow_private: it is for private networks. The URL has no user name: the signature is the proof
    of who sends, and URLs end up in other people's logs.

    After failures_to_pause in a row that say it is down, or of as many different events, an
    endpoint is paused, at first for seconds, then for up to longest_pause_s. No `Retry-After` makes
    that longer.
    """

    allow_private: _PrivateNetworks = Field(default=[])
    url: str = Field(repr=False)
    bindings: Bindings
    secrets: Strings = Field(min_length=1, max_length=10, repr=False)
    headers: dict[str, str] = Field(default={}, repr=False)
    content_type: str = CLOUDEVENTS
    proxy: str = Field(default="", repr=False)
    timeout_s: float = Field(default=15, gt=0, le=300)
    failures_to_pause: int = Field(default=5, ge=1, le=1000)
    longest_pause_s: float = Field(default=MAX_WAIT_S, gt=0, le=MAX_WAIT_S)

    @field_validator("url")
    @classmethod
    def _check_url(cls, text: str, info: ValidationInfo) -> str:
        try:
            url = URL(text)
        except ValueError as error:
            raise ValueError(_NO_URL) from error  # the error's own text shows it
        if not url.host or url.scheme not in {"http", "https"}:
            raise ValueError(_NO_URL)
        if url.user is not None or url.password is not None:
            raise ValueError("remove the user name and password; requests are signed with secrets")
        networks = info.data.get("allow_private", EVERYWHERE)
        if url.scheme == "http" and not networks:
            raise ValueError("it must be https://, or allow_private be set for a network of yours")
        if _is_refused(url.host, networks):
            raise ValueError("its address is private, and allow_private does not have it")
        return text

    @field_validator("secrets")
    @classmethod
    def _check_secrets(cls, secrets: list[str]) -> list[str]:
        _keys(secrets)
        return secrets

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        resolved = dict(zip(headers, resolve_secrets([*headers.values()]), strict=True))
        check_headers(resolved)
        return resolved

    @field_validator("content_type")
    @classmethod
    def _check_content_type(cls, content_type: str) -> str:
        check_content_type(content_type)
        return content_type

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, proxy: str) -> str:
        if not proxy:
            return ""
        (resolved,) = resolve_secrets([proxy])
        check_proxy(resolved)
        return resolved


class ForwardAdminSettings(ConsumerAdminSettings):
    """The listener for probes and metrics."""

    port: Port = 9092


class ForwardSettings(ConsumerSettings):
    """The section `[consumers.forward]`. All but `endpoints` applies to each of them separately."""

    admin: ForwardAdminSettings = ForwardAdminSettings()
    endpoints: dict[Annotated[str, AfterValidator(_endpoint_name)], EndpointSettings] = Field(
        min_length=1, max_length=100
    )

    @field_validator("endpoints")
    @classmethod
    def _check_timeouts(
        cls, endpoints: dict[str, EndpointSettings], info: ValidationInfo
    ) -> dict[str, EndpointSettings]:
        limit_s = info.data.get("handler_timeout_s", math.inf) - _MARGIN_S
        for name, endpoint in endpoints.items():
            if endpoint.timeout_s > limit_s:
                raise ValueError(
                    f"the timeout_s of {name} must be at least {_MARGIN_S:g} s less than "
                    "handler_timeout_s"
                )
        return endpoints


@asynccontextmanager
async def opened(
    settings: ForwardSettings, registry: CollectorRegistry
) -> AsyncIterator[Sequence[Consumer]]:
    """Yield the consumers, one per endpoint.

    Args:
        settings: the section.
        registry: what `/metrics` shows.
    """
    is_paused = Gauge(
        "relay_forward_breaker_open", "1 while an endpoint is paused because it is down.",
        ["endpoint"], registry=registry,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        consumers = []
        for name, section in settings.endpoints.items():
            # With a proxy, it is the proxy that is connected to, and that may be anywhere.
            allowed = EVERYWHERE if section.proxy else section.allow_private
            http = open_http(connections=settings.concurrency, allowed=allowed)
            sender = EventSender(
                destination=Destination(
                    url=URL(section.url),
                    content_type=section.content_type,
                    headers=section.headers,
                    proxy=URL(section.proxy) if section.proxy else None,
                    allowed=section.allow_private,
                ),
                keys=_keys(section.secrets),
                http=await stack.enter_async_context(http),
                timeout_s=section.timeout_s,
            )
            breaker = CircuitBreaker(
                failures_to_open=section.failures_to_pause,
                first_pause_s=_FIRST_PAUSE_S,
                longest_pause_s=section.longest_pause_s,
                chance=random.random,
            )
            gauge = is_paused.labels(name)
            endpoint = Endpoint(name=name, sender=sender, breaker=breaker, is_paused=gauge)
            consumers.append(
                Consumer(f"{NAME}-{name}", bindings=section.bindings, handler=endpoint.deliver)
            )
        yield consumers


def _keys(secrets: Sequence[str]) -> list[bytes]:
    return [key_of(secret) for secret in resolve_secrets(secrets)]
