"""The port that all workers listen on: the supervisor reserves it for them.

With SO_REUSEPORT the kernel spreads connections over all sockets that listen on a port; it gives
none to those that are merely bound.
"""

import contextlib
from collections.abc import Iterator

from relay.process.bound_sockets import Hosts, bound


@contextlib.contextmanager
def reserved(hosts: Hosts, port: int, name: str) -> Iterator[int]:
    """Reserve a port for processes of this user while the context is open; yield its number.

    Args:
        hosts: as for listening.
        port: 0 for any that is free.
        name: of the listener, for the error.

    Raises:
        RelayError: an address is taken, even by a socket that shares it, or not ours.
    """
    if port:  # unshared first: a shared one would be granted beside another relay's
        with bound(hosts, port, name):
            pass
    with bound(hosts, port, name, is_shared=True) as sockets:
        yield sockets[0].getsockname()[1]
