"""The port that all workers listen on: found free, and kept for them.

With SO_REUSEPORT the kernel spreads connections over all sockets that listen on a port.
"""

import contextlib
import socket
from collections.abc import Iterator

from relay.errors import RelayError


@contextlib.contextmanager
def reserved(host: str, port: int, name: str) -> Iterator[int]:
    """Keep a port for processes of this user while the context is open; yield its number.

    Args:
        host: as for listening.
        port: 0 for any that is free.
        name: of the listener, for the error.

    Raises:
        RelayError: the address is taken, also by one that shares it, or not ours.
    """
    with contextlib.ExitStack() as kept:
        try:
            number = port
            for family, address in _addresses(host, port):
                if port:  # alone, since a shared one would be granted beside another relay's
                    _bound(family, address, number, is_shared=False).close()
                it = kept.enter_context(_bound(family, address, number, is_shared=True))
                number = it.getsockname()[1]
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
    """Return a socket that is bound but does not listen, so that it is sent no connection."""
    it = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections that an earlier run has closed keep no port from us.
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
        if family == socket.AF_INET6:
            it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        it.bind((address, port))
    except BaseException:
        it.close()
        raise
    return it
