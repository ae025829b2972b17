"""Which addresses a listener is bound to."""

import errno
import os
import socket
from collections.abc import Sequence

import pytest

from relay.errors import RelayError
from relay.process.bound_sockets import address_text, bound, not_listening
from tests.support.rows import for_each_row

ANY_IPV4 = "0.0.0.0"


def addresses(hosts: str | Sequence[str], port: int = 0) -> set[str]:
    """Return where sockets are bound, all on one port."""
    with bound(hosts, port, "ingress") as sockets:
        (_,) = {each.getsockname()[1] for each in sockets}
        found = [each.getsockname()[0] for each in sockets]
    assert len(found) == len(set(found))
    return set(found)


@for_each_row(
    ("hosts", "expected"),
    [
        ("127.0.0.1", {"127.0.0.1"}),
        ("::1", {"::1"}),
        (ANY_IPV4, {ANY_IPV4}),
        ("::", {"::", ANY_IPV4}),
        ("0:0:0:0:0:0:0:0", {"::", ANY_IPV4}),
        (["::"], {"::", ANY_IPV4}),
        ([ANY_IPV4, "::"], {"::", ANY_IPV4}),
        (["::", ANY_IPV4], {"::", ANY_IPV4}),
        (["127.0.0.1", "::1"], {"127.0.0.1", "::1"}),
        (["127.0.0.1", "127.0.0.2"], {"127.0.0.1", "127.0.0.2"}),
        (["127.0.0.1", "localhost", "127.0.0.1"], {"127.0.0.1"}),
        (["127.0.0.1", ANY_IPV4], {ANY_IPV4}),  # which it is part of
        (["127.0.0.1", "::1", "::"], {"::", ANY_IPV4}),
        (["::1", ANY_IPV4], {"::1", ANY_IPV4}),
    ],
    is_free=[False, True],
)
def test_each_host_is_bound_once_and_all_to_one_port(
    hosts: str | list[str],
    expected: set[str],
    is_free: bool,  # noqa: FBT001
) -> None:
    port = 0
    if is_free:
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]

    assert addresses(hosts, port) - {"::1"} == expected - {"::1"}
    if "localhost" not in hosts:
        assert addresses(hosts, port) == expected


@for_each_row(
    ("hosts", "taken", "named"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1:{}"),
        ("::1", "::1", r"\[::1\]:{}"),
        ("::", "127.0.0.1", "0.0.0.0:{}"),
        ("::", "::1", r"\[::\]:{}"),
        (["127.0.0.2", "127.0.0.1"], "127.0.0.1", "127.0.0.1:{}"),
        (["127.0.0.1", "::1"], "::1", r"\[::1\]:{}"),
    ],
)
def test_the_address_that_is_in_use_is_named_and_the_others_are_free_again(
    hosts: str | list[str], taken: str, named: str
) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(
                RelayError, match=f"^ingress: can't listen on {named.format(port)}: Ad.*; stop what"
            ),
            bound(hosts, port, "ingress"),
        ):
            pass

    assert addresses(hosts, port)


@pytest.mark.parametrize(
    ("hosts", "named"),
    [
        ("192.0.2.1", "192.0.2.1:0: Cannot assign"),
        (["127.0.0.1", "192.0.2.1"], r"192.0.2.1:\d+: Cannot assign"),
        ("2001:db8::1", r"\[2001:db8::1\]:0: Cannot assign"),
        ("no.such.host.invalid", r"no.such.host.invalid:0: \w"),
        ("127.0.0.1:8080", r"127.0.0.1:8080\]?:0: \w"),
    ],
)
def test_a_host_that_is_not_ours_is_an_error(hosts: str | list[str], named: str) -> None:
    with (
        pytest.raises(
            RelayError, match=f"^ingress: can't listen on .?{named}.*; give ingress a host"
        ),
        bound(hosts, 0, "ingress"),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (
            errno.EADDRINUSE,
            "Address already in use; stop what listens there, or give admin another",
        ),
        (errno.EACCES, "Permission denied; give admin a port of 1024 or more, or this process"),
        (errno.EADDRNOTAVAIL, "Cannot assign requested address; give admin a host that is"),
    ],
)
def test_what_to_do_about_an_address_is_said(number: int, sentence: str) -> None:
    error = not_listening("admin", "::1", 80, OSError(number, os.strerror(number)))

    assert str(error).startswith(f"admin: can't listen on [::1]:80: {sentence}")


def test_an_address_is_written_as_in_a_url() -> None:
    assert [address_text(host, 80) for host in ("a.example", "192.0.2.1", "::1")] == [
        "a.example:80",
        "192.0.2.1:80",
        "[::1]:80",
    ]
