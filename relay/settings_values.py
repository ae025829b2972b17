"""What single settings may be, where several sections have such: ports, hosts, networks, names."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from relay.settings_file import listed

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_ORIGIN = re.compile(r"(?:https?|dns)://[A-Za-z0-9._\[\]:-]+/?")
_MAPPED_PREFIX_BITS = 96
"""What an IPv6 address has before the IPv4 address mapped into it (RFC 4291, 2.5.5.2)."""


def _network(value: object) -> IPv4Network | IPv6Network:
    """Read a network, an IPv4 one in IPv6 clothes as itself: so are addresses read."""
    try:
        network = ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no network, such as 10.0.0.0/8") from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_PREFIX_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX_BITS))


def _source_name(name: str) -> str:
    if not SOURCE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: up to 64 of a-z, 0-9, _ and -")
    return name


def _hosts(value: object) -> object:
    """Read one host as itself, several as a list."""
    hosts = listed(value)
    if not isinstance(hosts, list) or not all(isinstance(host, str) and host for host in [*hosts]):
        raise ValueError("it must be a name or an address, or a list of them")
    if not hosts:
        raise ValueError("there is none; 0.0.0.0 stands for all of IPv4, :: for IPv6, too")
    return value if isinstance(value, str) and hosts == [value] else hosts


def _table(value: object) -> object:
    """Read a table from one environment variable, as JSON."""
    return orjson.loads(value) if isinstance(value, str) else value


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Networks = Annotated[list[Network], BeforeValidator(listed)]
Hosts = Annotated[str | list[str], BeforeValidator(_hosts)]
Table = Annotated[dict[str, str], BeforeValidator(_table)]
ExchangeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
SourceName = Annotated[str, AfterValidator(_source_name)]
Port = Annotated[int, Field(ge=0, le=65535)]


def is_origin(text: str) -> bool:
    """Return whether it is `http://HOST:PORT`, or `dns://NAME:PORT`: each address of a name."""
    try:
        parts = urlsplit(text)
        return bool(_ORIGIN.fullmatch(text) and parts.hostname and parts.port != 0)
    except ValueError:  # a port beyond 65,535, or brackets around no address
        return False
