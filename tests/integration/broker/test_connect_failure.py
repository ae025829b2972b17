"""What is said when no connection to a broker can be opened: what was wrong, where, what to do."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from relay.broker.connection import connect
from relay.errors import BrokerError

OTHER_PORT = "broker.urls needs the port of RabbitMQ's AMQP listener"
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"


@contextlib.asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[int]:
    """Answer the first bytes of each caller, then hang up; yield the port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def refusal(url: str) -> str:
    with pytest.raises(BrokerError) as caught:
        await connect(url, heartbeat_s=10)
    text = str(caught.value)
    assert "pass" not in text
    assert re.fullmatch(r"[^\n]+[^.?!;]\.", text)
    assert "Errno" not in text
    return text


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", TLS_ALERT, b"SSH-2.0-OpenSSH_9.2\r\n"],
    ids=["nothing", "HTTP", "TLS", "SSH"],
)
async def test_another_program_at_the_port_is_suspected(answer: bytes) -> None:
    async with listening(answer) as port:
        text = await refusal(f"amqp://user:pass@127.0.0.1:{port}/")

    assert text.startswith(f"RabbitMQ at 127.0.0.1:{port} ")
    assert OTHER_PORT in text


async def test_a_port_without_tls_is_told_from_one_with_it() -> None:
    async with listening(b"AMQP\x00\x00\x09\x01") as port:
        text = await refusal(f"amqps://user:pass@127.0.0.1:{port}/")

    assert "amqps:// needs the port of RabbitMQ's TLS listener" in text


async def test_nobody_at_the_port_is_told() -> None:
    with socket.socket() as unused:  # bound, so nobody else takes the port, but it does not listen
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        text = await refusal(f"amqp://user:pass@127.0.0.1:{port}/")

    assert text.startswith(f"RabbitMQ at 127.0.0.1:{port} can't be reached: Connect")
    assert text.endswith("check that RabbitMQ runs there, and that this is its port.")


async def test_a_host_without_an_address_is_told() -> None:
    text = await refusal("amqp://user:pass@no.such.host.invalid/")

    assert text.startswith("RabbitMQ at no.such.host.invalid:5672 can't be reached: ")
    assert text.endswith("; correct the host in broker.urls, or the name service.")


@pytest.mark.parametrize("name", ["cafile", "certfile", "keyfile"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "No such file or directory"),
        (Path.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
async def test_a_file_of_the_url_that_can_not_be_read_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "file.pem"
    make(path)

    text = await refusal(f"amqps://user:pass@127.0.0.1:1/?{name}={path}")

    assert text == f"broker.urls: {name} {path} can't be read: {words}."


async def test_a_file_of_the_url_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file.pem"
    path.write_text("not a certificate")

    text = await refusal(f"amqps://user:pass@127.0.0.1:1/?cafile={path}")

    assert "correct the files that cafile, certfile and keyfile name in broker.urls" in text
