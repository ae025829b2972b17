"""Which addresses may be called: public ones, and those that the settings allow. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EVERYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# Public by their numbers, but answered by the cloud that a machine runs in, with credentials:
# https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm
# https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
_CLOUD_METADATA = (ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32"))


def is_allowed(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address may be called: it is public, or in one of networks.

    Args:
        address: IPv4 or IPv6, perhaps with a zone, as a socket connects to it.
        networks: private networks that may be called.
    """
    target = _embedded_ipv4(ip_address(address))
    return _is_public(target) or any(target in network for network in networks)


def _embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, or else the address itself."""
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    """Return whether an address belongs to one host of the public internet."""
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global
    if any(address in network for network in _CLOUD_METADATA):
        return False
    return address.is_global and not address.is_multicast
