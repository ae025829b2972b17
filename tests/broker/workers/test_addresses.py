"""Where a relay listens, as one process and as several, and what it answers to there."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from tests.broker.workers.conftest import is_ready, serve, total, workers
from tests.support.eventually import LIMIT_S, eventually

ANY_IPV4 = "0.0.0.0"
both = pytest.mark.parametrize("count", [1, 2], ids=["one process", "workers"])


async def answer(host: str, port: int, sent: bytes) -> bytes:
    """Return all that comes back until the relay closes its side."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(sent)
        try:
            return await reader.read()
        finally:
            writer.close()


def request(method: str, path: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


@both
@pytest.mark.parametrize(
    ("host", "logged", "callers"),
    [
        ("::", {ANY_IPV4, "[::]"}, ["127.0.0.1", "::1", "127.0.0.2"]),
        ([ANY_IPV4, "::"], {ANY_IPV4, "[::]"}, ["127.0.0.1", "::1"]),
        (["127.0.0.1", "::1"], {"127.0.0.1", "[::1]"}, ["127.0.0.1", "::1"]),
        (["127.0.0.2", "127.0.0.3"], {"127.0.0.2", "127.0.0.3"}, ["127.0.0.2", "127.0.0.3"]),
    ],
)
async def test_each_address_is_listened_on(
    tmp_path: Path, count: int, host: str | list[str], logged: set[str], callers: list[str]
) -> None:
    settings = {"ingress": {"host": host, "port": 0}, "admin": {"host": "::", "port": 0}}
    async with workers(tmp_path, count, **settings) as relay:
        lines = relay.lines("listening")
        found = {line["address"] for line in lines if line["listener"] == "ingress"}
        answers = [await answer(caller, relay.port, request("GET", "/")) for caller in callers]
        probes = [await answer(own, relay.admin_port, request("GET", "/livez")) for own in
                  ("127.0.0.1", "::1")]  # fmt: skip
        clients = {line["client"] for line in relay.lines("delivery") if "client" in line}

        assert await is_ready(relay)
    assert found == {f"{address}:{relay.port}" for address in logged}
    assert all(got.startswith(b"HTTP/1.1 404 ") for got in answers)
    assert all(got.startswith(b"HTTP/1.1 200 ") for got in probes)
    assert not [client for client in clients if client.startswith("::ffff:")]


@both
@pytest.mark.parametrize("host", ["::", ["127.0.0.1", "::1"]])
@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_an_address_in_use_is_one_sentence(
    tmp_path: Path, count: int, host: str | list[str], taken: str
) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family, reuse_port=True) as other:
        port = other.getsockname()[1]
        done = serve(workers(tmp_path, count, ingress={"host": host, "port": port}))

    assert done.returncode == 1
    assert re.search(
        rf"^relay: ingress: can't listen on \S+:{port}: Address already in use; stop .*\.$",
        done.stderr.splitlines()[-1],
    )


@both
async def test_answers_to_head_have_no_body(tmp_path: Path, count: int) -> None:
    async with workers(tmp_path, count) as relay:
        for path, status in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/no", 404)]:
            got = await answer("127.0.0.1", relay.admin_port, request("HEAD", path))
            head, _, body = got.partition(b"\r\n\r\n")

            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\nContent-Length: " in head
            assert body == b""
        got = await answer("127.0.0.1", relay.port, request("HEAD", "/in/swiftsell"))

        assert got.startswith(b"HTTP/1.1 405 ")
        assert got.endswith(b"\r\n\r\n")


@both
async def test_what_is_no_http_is_answered_counted_and_logged(tmp_path: Path, count: int) -> None:
    tls = bytes.fromhex("1603010200010001fc0303") + bytes(500)
    garbage = b"X" * 1_000_000
    large_head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n"
    async with workers(tmp_path, count) as relay:
        got = [await answer("127.0.0.1", relay.port, sent) for sent in (tls, garbage, large_head)]
        await eventually(lambda: len(relay.lines("delivery")) >= len(got))
        logged = [(line["source"], line["status"]) for line in relay.lines("delivery")]
        metrics = await relay.metrics()

    assert [each[9:12] for each in got] == [b"400", b"400", b"431"]
    assert sorted(logged) == [("unknown", 400), ("unknown", 400), ("unknown", 431)]
    assert 'relay_requests_total{source="unknown",status="400"} 2.0' in metrics
    assert 'relay_requests_total{source="unknown",status="431"} 1.0' in metrics
    assert total(metrics, "relay_answer_seconds_count") == len(got)


@both
async def test_the_limits_of_a_head_are_settings(tmp_path: Path, count: int) -> None:
    limits = {"header_limit_bytes": 1000, "header_limit_count": 5}
    async with workers(tmp_path, count, ingress=limits) as relay:
        heads = [b"X: " + b"x" * 2000 + b"\r\n", b"X: y\r\n" * 4, b"X: y\r\n" * 3]
        sent = [request("GET", "/")[:-2] + head + b"\r\n" for head in heads]
        got = [await answer("127.0.0.1", relay.port, each) for each in sent]

    assert [each[9:12] for each in got] == [b"431", b"431", b"404"]


async def test_a_caller_who_goes_on_sending_does_not_hold_up_the_shutdown(tmp_path: Path) -> None:
    async with workers(tmp_path, 1, ingress={"shutdown_grace_s": 20}) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"no HTTP")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")

        async with asyncio.timeout(8):  # a connection may linger for 10 s
            assert await relay.stop() == 0
        writer.close()
