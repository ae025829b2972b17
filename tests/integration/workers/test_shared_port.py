"""One port for several processes, which nobody else may have."""

import socket

import pytest

from relay.errors import RelayError
from relay.workers import shared_port


def listener(port: int, *, is_shared: bool) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=is_shared)


def test_a_free_port_is_found_and_shared() -> None:
    with (
        shared_port.reserved("127.0.0.1", 0, "ingress") as port,
        listener(port, is_shared=True),
        listener(port, is_shared=True),
    ):
        socket.create_connection(("127.0.0.1", port)).close()


def test_nobody_is_connected_before_a_worker_listens() -> None:
    with (
        shared_port.reserved("127.0.0.1", 0, "ingress") as port,
        pytest.raises(ConnectionRefusedError),
    ):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_in_use_is_an_error_also_if_it_is_shared(is_shared: bool) -> None:  # noqa: FBT001
    with (
        listener(0, is_shared=is_shared) as taken,
        pytest.raises(RelayError, match=r"^ingress: can't listen on 127.0.0.1:\d+: Address al"),
        shared_port.reserved("127.0.0.1", taken.getsockname()[1], "ingress"),
    ):
        pass


def test_connections_an_earlier_run_has_closed_keep_no_port() -> None:
    with listener(0, is_shared=False) as earlier:
        port = earlier.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        earlier.accept()[0].close()
        client.close()

    with shared_port.reserved("127.0.0.1", port, "ingress") as reserved:
        assert reserved == port


def test_every_address_of_a_name_is_kept() -> None:
    with shared_port.reserved("localhost", 0, "ingress") as port, listener(port, is_shared=True):
        pass


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with (
        pytest.raises(RelayError, match=r"can't listen on 192\.0\.2\.1:0: "),
        shared_port.reserved("192.0.2.1", 0, "ingress"),
    ):
        pass
