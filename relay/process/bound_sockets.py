"""Sockets that are bound to all addresses of a listener, or to none.

asyncio would bind `::` to IPv6 alone, and each of several hosts to a free port of its own.
"""

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from relay.errors import RelayError

_ANY_IPV4, _ANY_IPV6 = str(IPv4Address(0)), str(IPv6Address(0))
_NOT_HERE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
"""IPv6 is switched off; what a host stands for, such as localhost, may still be IPv6, too."""
_MAX_TRIES = 10
"""To find a port that is free on all addresses."""

Hosts = str | Sequence[str]
_Address = tuple[socket.AddressFamily, str, Sequence[object]]
"""The family, the address as text, and as the system has it."""


@contextlib.contextmanager
def bound(
    hosts: Hosts, port: int, name: str, *, is_shared: bool = False
) -> Iterator[list[socket.socket]]:
    """Bind sockets, which do not listen yet, while the context is open.

    Args:
        hosts: a name or an address, or several; `::` stands for all addresses, of IPv4, too.
        port: 0 for any that is free; it is the same on all addresses.
        name: of the listener, for errors.
        is_shared: whether other processes of this user may listen there, too.

    Raises:
        RelayError: an address is taken, or not one of this machine.
    """
    sockets = _bind(hosts, port, name, is_shared=is_shared)
    with contextlib.ExitStack() as stack:
        for each in sockets:
            stack.enter_context(each)
        yield sockets


def address_text(host: str, port: int) -> str:
    """Return an address as a URL has it: one of IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(hosts: Hosts, port: int, name: str, *, is_shared: bool) -> list[socket.socket]:
    each = [hosts] if isinstance(hosts, str) else sorted(hosts, key=_is_specific)
    for _ in range(0 if port else _MAX_TRIES - 1):
        with contextlib.suppress(RelayError):
            return _bind_all(each, port, name, is_shared=is_shared)
    return _bind_all(each, port, name, is_shared=is_shared)


_Found = dict[tuple[socket.AddressFamily, str], socket.socket]


def _bind_all(
    hosts: Sequence[str], port: int, name: str, *, is_shared: bool
) -> list[socket.socket]:
    """Bind what each host stands for; close all again if one can't be bound."""
    found: _Found = {}
    try:
        for host in hosts:
            _bind_host(found, host, port, name, is_shared=is_shared)
            port = next(iter(found.values())).getsockname()[1]
    except BaseException:
        for each in found.values():
            each.close()
        raise
    return list(found.values())


def _bind_host(found: _Found, host: str, port: int, name: str, *, is_shared: bool) -> None:
    """Bind what a host stands for, but for what is bound already."""
    missing: OSError | None = None
    is_bound = False
    for family, text, address in _addresses(host, port, name):
        everywhere = _ANY_IPV4 if family == socket.AF_INET else _ANY_IPV6
        try:
            if (family, text) not in found and (family, everywhere) not in found:
                new = _new_socket(family, (text, port, *address[2:]), is_shared=is_shared)
                port = new.getsockname()[1]
                found[family, text] = new
            is_bound = True
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise not_listening(name, text, port, error) from error
            missing = error
    if missing and not is_bound:
        raise not_listening(name, host, port, missing) from missing


def _addresses(host: str, port: int, name: str) -> Iterator[_Address]:
    try:
        for part in (_ANY_IPV4, _ANY_IPV6) if _is_any_ipv6(host) else (host or None,):
            flags = socket.AI_PASSIVE
            infos = socket.getaddrinfo(part, port, type=socket.SOCK_STREAM, flags=flags)
            for family, *_, address in dict.fromkeys(infos):
                yield family, str(address[0]), address
    except OSError as error:
        raise not_listening(name, host, port, error) from error


def _is_specific(host: str) -> bool:
    return host not in {"", _ANY_IPV4} and not _is_any_ipv6(host)


def _is_any_ipv6(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host) == IPv6Address(0)
    return False


def _new_socket(
    family: socket.AddressFamily, address: tuple[object, ...], *, is_shared: bool
) -> socket.socket:
    new = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections that an earlier run closed must not block the port.
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own, and callers their addresses
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        new.bind(address)
    except BaseException:
        new.close()
        raise
    return new


def not_listening(name: str, host: str, port: int, error: OSError) -> RelayError:
    """Return the error of a listener that can't have its address: why, and what to do.

    Args:
        name: of the listener.
        host: of its address.
        port: likewise.
        error: the system's.
    """
    match error.errno:
        case errno.EADDRINUSE:
            advice = f"stop what listens there, or give {name} another port"
        case errno.EACCES:
            advice = f"give {name} a port of 1024 or more, or this process CAP_NET_BIND_SERVICE"
        case _:
            advice = f"give {name} a host that is an address of this machine"
    address = address_text(host, port)
    return RelayError(f"{name}: can't listen on {address}: {error.strerror}; {advice}.")
