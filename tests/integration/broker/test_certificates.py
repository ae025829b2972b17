"""A broker's certificate that is not trusted: what is wrong with it, and what to do."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.broker.connection import connect
from relay.errors import BrokerError

NOW = dt.datetime.now(dt.UTC)
PEM = serialization.Encoding.PEM


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    """A certificate as old authorities issue it: without key usage and key identifiers."""
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    return (
        x509.CertificateBuilder(authority, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=2))
        .not_valid_after(NOW + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    """Where a listener is, whose certificate tmp_path / ca.pem has signed."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", root, is_authority=True).sign(root, hashes.SHA256())
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = _certificate("broker", key, is_authority=False).add_extension(address, critical=False)
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(PEM))
    (tmp_path / "broker.pem").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + builder.sign(root, hashes.SHA256()).public_bytes(PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "broker.pem")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def reason(url: str) -> str:
    with pytest.raises(BrokerError) as caught:
        await connect(url, heartbeat_s=10)
    return str(caught.value)


async def test_a_certificate_that_a_strict_python_refuses_is_to_be_issued_anew(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict_context(
        purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **trusted: str | None
    ) -> ssl.SSLContext:
        context = create(purpose, **trusted)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does
        return context

    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", strict_context)

    said = await reason(f"amqps://{broker}/?cafile={tmp_path}/ca.pem")

    assert "certificate verify failed: " in said
    assert "key usage" in said.lower() or "key identifier" in said.lower()
    assert "issue it anew" in said


async def test_the_authority_of_a_certificate_that_is_not_known_is_to_be_named(broker: str) -> None:
    said = await reason(f"amqps://{broker}/")

    assert "certificate verify failed: unable to get local issuer certificate" in said
    assert "cafile" in said


async def test_a_certificate_of_another_host_names_the_host(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lenient_context(
        purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **trusted: str | None
    ) -> ssl.SSLContext:
        context = create(purpose, **trusted)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as before Python 3.13: it comes first
        return context

    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lenient_context)
    url = f"amqps://{broker.replace('127.0.0.1', 'localhost')}/?cafile={tmp_path}/ca.pem"

    said = await reason(url)

    assert "'localhost'" in said
    assert "the host in the URL" in said
