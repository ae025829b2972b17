"""Who is calling, through proxies that are trusted and headers that are not."""

from ipaddress import ip_network

import pytest
from structlog.testing import capture_logs

from tests.integration.conftest import Start, source

TOKEN = "tok-1"


@pytest.mark.parametrize(
    ("forwarded", "client", "status"),
    [
        ("10.1.2.3", "10.1.2.3", 200),
        ("6.6.6.6, 10.1.2.3", "10.1.2.3", 200),
        ("::ffff:10.1.2.3", "10.1.2.3", 200),
        ("10.1.2.3, 127.0.0.1", "10.1.2.3", 200),
        ("10.1.2.3:51234", "10.1.2.3", 200),
        ("[::ffff:10.1.2.3]:443", "10.1.2.3", 200),
        ("10.1.2.3:1, 127.0.0.1:2", "10.1.2.3", 200),
        ("[2001:db8::1]:443", "2001:db8::1", 401),
        ("[2001:db8::1]", "2001:db8::1", 401),
        ("10.1.2.3:", "", 401),
        ("[10.1.2.3", "", 401),
        ("6.6.6.6", "6.6.6.6", 401),
        ("fe80::1%" + "x" * 5000, "fe80::1", 401),
        ("s\u00f6meone", "", 401),
        ("10.1.2.3, " + "x" * 5000, "", 401),
    ],
)
async def test_the_caller_is_the_last_one_no_trusted_proxy_vouches_for(
    start: Start, forwarded: str, client: str, status: int
) -> None:
    relay = await start(
        source("swiftsell", TOKEN, allow_from=(ip_network("10.0.0.0/8"),)),
        trusted_proxies=[ip_network("127.0.0.0/8")],
    )
    headers = {"Authorization": TOKEN, "X-Forwarded-For": forwarded}

    with capture_logs() as lines:
        answer = await relay.post("/in/swiftsell", b"", headers=headers)

    assert (answer.status, lines[-1]["client"]) == (status, client)
