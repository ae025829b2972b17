"""amqps:// with a CA and a client certificate, against a TLS listener in front of the broker."""

import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.event_recorder import Recorder
from tests.support.eventually import eventually
from tests.support.relay_process import RelayProcess, numbered, post_all
from tests.support.servers.proxy import Proxy


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("relay@example.com")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    for part in client.cert_chain_pems:
        part.write_to_path(tmp_path / "client.pem", append=True)
    return authority


@pytest.fixture
def listener(authority: trustme.CA) -> ssl.SSLContext:
    """A listener that asks for a client certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_events_go_over_tls_with_a_client_certificate(
    tmp_path: Path, broker_url: str, exchange: str, recorder: Recorder, listener: ssl.SSLContext
) -> None:
    async with Proxy(broker_url, listener) as proxy:
        query = (
            f"cafile={tmp_path}/ca.pem&certfile={tmp_path}/client.pem&keyfile={tmp_path}/client.key"
        )
        async with RelayProcess(
            tmp_path, broker_url=f"{proxy.url}?{query}", exchange=exchange
        ) as relay:
            accepted = await post_all(relay.url, numbered(5))
            await recorder.has(5)

    assert set(recorder.ids) == set(accepted)


async def test_a_broker_of_an_unknown_authority_is_not_trusted(
    tmp_path: Path, broker_url: str, exchange: str, listener: ssl.SSLContext
) -> None:
    async with (
        Proxy(broker_url, listener) as proxy,
        RelayProcess(tmp_path, broker_url=proxy.url, exchange=exchange) as relay,
    ):
        await eventually(lambda: relay.lines("broker unavailable"))
        status, _ = await relay.readiness()

    assert "certificate verify failed" in relay.lines("broker unavailable")[0]["reason"]
    assert status == 200
