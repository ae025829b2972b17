"""Which addresses an endpoint may have."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forward.networks import EVERYWHERE, is_allowed
from tests.support.rows import for_each

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::1",
]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:a00:1::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "4000::1",
]


@for_each(address=PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_allowed(address, [])


@for_each(address=PRIVATE)
def test_a_private_address_may_not_be_called_unless_all_may(address: str) -> None:
    assert not is_allowed(address, [])
    assert is_allowed(address, EVERYWHERE)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::7"])
def test_a_network_that_is_named_may_be_called_and_no_other(address: str) -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("fd00::/64")]

    assert is_allowed(address, networks)
    assert not is_allowed("10.2.0.1", networks)
    assert not is_allowed("::ffff:10.2.0.1", networks)
    assert not is_allowed("fd00:0:0:1::7", networks)


@given(address=st.ip_addresses(v=4))
def test_an_address_is_as_private_in_its_ipv6_forms(address: IPv4Address) -> None:
    mapped = IPv6Address(int(IPv6Address("::ffff:0:0")) + int(address))
    translated = IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))

    assert is_allowed(str(mapped), []) == is_allowed(str(address), [])
    assert is_allowed(str(translated), []) == is_allowed(str(address), [])


@pytest.mark.parametrize("name", ["localhost", "example.com", "127.1", "2130706433", ""])
def test_a_name_is_no_address(name: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        is_allowed(name, [])
