"""Bodies over real HTTP: bounded in size and time, compressed, in chunks, broken."""

import asyncio
import gzip
import zlib

import orjson
import pytest

from relay import vendors
from tests.integration.conftest import Start, problem, source

TEXT = vendors.samples("swiftsell")[1].read_bytes()
TOKEN = "s3cret-token"
AUTHORIZED = {"Authorization": TOKEN}


async def chunks(count: int, size: int) -> object:
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_a_body_over_the_limit_is_refused(
    start: Start, encoding: str | None, framing: str
) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=10_000)
    plain = b" " * 10_001
    body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(plain)
    headers = AUTHORIZED | ({"Content-Encoding": encoding} if encoding else {})

    async def chunked() -> object:
        yield body

    data = body if framing == "content-length" else chunked()
    answer = await relay.request("POST", "/in/swiftsell", data=data, headers=headers)

    assert answer.status == 413
    assert problem(answer.body)["type"] == "body-too-large"
    assert await relay.stored() == []


async def test_an_endless_chunked_body_is_cut_at_the_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=10_000)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        writer.write(b"400\r\n" + b"a" * 1024 + b"\r\n")
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert status.startswith(b"HTTP/1.1 413 ")


async def test_a_caller_who_sends_on_after_a_refusal_is_cut(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=1000)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)

    async def send_on() -> None:
        while True:
            writer.write(bytes(1000))
            await writer.drain()

    assert head.startswith(b"HTTP/1.1 413 ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 5)  # half of what aiohttp would listen on
    writer.close()


async def test_a_zip_bomb_costs_no_more_than_the_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), body_limit_bytes=1_000_000)
    bomb = gzip.compress(b"\0" * 100_000_000, 9)
    assert len(bomb) < 1_000_000

    answer = await relay.post(
        "/in/swiftsell", bomb, headers=AUTHORIZED | {"Content-Encoding": "gzip"}
    )

    assert answer.status == 413


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda plain: zlib.compress(plain, wbits=-15)),
        ("identity", bytes),
    ],
)
async def test_supported_encodings_are_understood(
    start: Start, encoding: str, compress: object
) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", compress(TEXT), headers=AUTHORIZED | {"Content-Encoding": encoding}
    )

    assert orjson.loads(answer.body)["status"] == "accepted"


async def test_a_body_that_does_not_decompress_is_quarantined_as_it_came(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))
    body = gzip.compress(TEXT)[:-9]

    answer = await relay.post(
        "/in/swiftsell", body, headers=AUTHORIZED | {"Content-Encoding": "gzip"}
    )

    (row,) = await relay.stored()
    assert orjson.loads(answer.body)["reason"] == "not_json"
    assert row.message.body == body


@pytest.mark.parametrize(
    "encoding", ["UTF-8", "none", "identity, identity", "", " Identity ,", "iso-8859-1"]
)
async def test_what_is_no_content_coding_counts_as_none(start: Start, encoding: str) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", TEXT, headers=AUTHORIZED | {"Content-Encoding": encoding}
    )

    assert orjson.loads(answer.body)["status"] == "accepted"


async def test_a_coding_counts_beside_names_that_are_none(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell",
        gzip.compress(TEXT),
        headers=AUTHORIZED | {"Content-Encoding": "GZip , identity,utf-8"},
    )

    assert orjson.loads(answer.body)["status"] == "accepted"


@pytest.mark.parametrize(
    "encoding",
    ["br", "zstd", "gzip, gzip", "identity, br", "compress", "x-compress", "dcb", "dcz", "exi",
     "aes128gcm", "pack200-gzip"],
)  # fmt: skip
async def test_other_encodings_are_unsupported(start: Start, encoding: str) -> None:
    relay = await start(source("swiftsell", TOKEN))

    answer = await relay.post(
        "/in/swiftsell", TEXT, headers=AUTHORIZED | {"Content-Encoding": encoding}
    )

    assert answer.status == 415


async def test_a_slow_body_times_out(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), read_timeout_s=0.1)

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert status.startswith(b"HTTP/1.1 408 ")


async def test_bodies_that_are_being_read_share_a_limit(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN), bodies_limit_bytes=70_000)
    head = f"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
    begun = f"{head}Content-Length: 60000\r\n\r\n".encode() + b"a" * 40_000

    callers = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(2)]
    for _, writer in callers:
        writer.write(begun)
    answers = {asyncio.create_task(reader.readline()): writer for reader, writer in callers}
    refused, _ = await asyncio.wait(answers, timeout=5, return_when="FIRST_COMPLETED")
    refusal = refused.pop()
    answers.pop(refusal).close()
    (other, writer), *_ = answers.items()
    writer.write(b"a" * 20_000)
    status = await asyncio.wait_for(other, 5)
    writer.close()

    assert (await refusal).startswith(b"HTTP/1.1 503 ")
    assert status.startswith(b"HTTP/1.1 200 ")


async def test_expect_100_continue_is_answered_before_the_body(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    head = f"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\n"
    writer.write(f"{head}Expect: 100-continue\r\nContent-Length: {len(TEXT)}\r\n\r\n".encode())
    interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.write(TEXT)
    status = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status == b"HTTP/1.1 200 OK\r\n"


async def test_broken_framing_is_a_bad_request(start: Start) -> None:
    relay = await start(source("swiftsell", TOKEN))

    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"POST /in/swiftsell HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    writer.write(b"zz\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 Bad Request\r\n" in head
    assert b"Server: relay" in head
    assert problem(body)["type"] == "bad-request"
    assert b"zz" not in body
    assert await relay.stored() == []
