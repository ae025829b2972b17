"""The port that all workers listen on: the supervisor reserves it for them.

With SO_REUSEPORT the kernel spreads connections over all sockets that listen on a port.
"""

import contextlib
import socket
from collections.abc import Iterator

from relay.errors import RelayError


@contextlib.contextmanager
def reserved(host: str, port: int, name: str) -> Iterator[int]:
    """Reserve a port for processes of this user while the context is open; yield its number.

    Args:
        host: as for listening.
        port: 0 for any that is free.
        name: of the listener, for the error.

    Raises:
        RelayError: the address is taken, even by a socket that shares it, or not ours.
    """
    with contextlib.ExitStack() as sockets:
        try:
            number = port
            for family, address in _addresses(host, port):
                if port:  # unshared first: a shared one would be granted beside another relay's
                    _bound(family, address, number, is_shared=False).close()
                bound = sockets.enter_context(_bound(family, address, number, is_shared=True))
                number = bound.getsockname()[1]
        except OSError as error:
            raise RelayError(f"{name}: can't listen on {host}:{port}: {error.strerror}.") from error
        yield number


def _addresses(host: str, port: int) -> Iterator[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, *_, address in dict.fromkeys(found):
        yield family, str(address[0])


def _bound(
    family: socket.AddressFamily, address: str, port: int, *, is_shared: bool
) -> socket.socket:
    """Return a socket that is bound but does not listen: the kernel gives it no connections."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections that an earlier run closed must not block the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound
