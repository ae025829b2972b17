"""Who is calling: the address behind proxies that are trusted, and the networks it is in. Pure."""

import contextlib
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

_HOP = re.compile(r"\[([^\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
"""An address with a port, or in brackets."""


def client_address(remote: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the caller's address: the last one a trusted proxy did not vouch for.

    A forwarded address may have a port, and be in brackets. What a proxy forwards may be no address
    at all; that is "", which no network holds. A zone, any text behind a `%`, is left out: it means
    nothing on another machine (RFC 4007, 6).

    Args:
        remote: whoever is connected.
        forwarded_for: every X-Forwarded-For header, in order.
        trusted: the proxies' networks.
    """
    address = remote
    hops = [hop.strip() for hop in ",".join(forwarded_for).split(",") if hop.strip()]
    while hops and is_within(address, trusted):
        hop = hops.pop()
        if with_port := _HOP.fullmatch(hop):
            hop = with_port[1] or with_port[2]
        address = str(_parsed(hop) or "").partition("%")[0]
    return address


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Return whether one of networks has the address in it."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, an IPv4 one in IPv6 clothes as itself; None if it is none."""
    with contextlib.suppress(ValueError):
        parsed = ip_address(text)
        return getattr(parsed, "ipv4_mapped", None) or parsed
    return None
