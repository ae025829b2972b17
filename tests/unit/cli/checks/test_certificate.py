"""How long a broker's certificate is good, as seen on the wire."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from relay.cli.checks import rabbitmq
from relay.errors import BrokerError


@pytest.mark.parametrize(("days", "is_warning"), [(5, True), (400, False)])
async def test_a_certificate_that_ends_soon_is_a_warning(
    tmp_path: Path, days: int, *, is_warning: bool
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    end = datetime.now(UTC) + timedelta(days=days, hours=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=end).configure_cert(context)
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    port = server.sockets[0].getsockname()[1]

    async with server:
        found = await rabbitmq.certificate(f"amqps://127.0.0.1:{port}/?cafile={tmp_path}/ca.pem")
        with pytest.raises(BrokerError, match="is not trusted"):
            await rabbitmq.certificate(f"amqps://127.0.0.1:{port}/")

    assert found.is_warning == is_warning
    assert f"{end:%Y-%m-%d}" in found.text
    assert "its authority's" in found.text
