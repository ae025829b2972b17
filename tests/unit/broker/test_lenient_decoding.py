"""Properties that pamqp alone can't decode, as bytes."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, frame
from pamqp.commands import Basic
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader

from consumers.kit.queues.headers import retry_properties
from relay.broker import lenient_decoding

MESSAGE_TYPE, TIMESTAMP, HEADERS = 1 << 5, 1 << 6, 1 << 13
NANOSECONDS = 1_795_190_400_123_456_789


@pytest.fixture(autouse=True, scope="module")
def installed() -> Iterator[None]:
    methods, mapping = dict(decode.METHODS), dict(decode.TABLE_MAPPING)
    lenient_decoding.install()
    yield
    decode.METHODS.update(methods)
    decode.TABLE_MAPPING.update(mapping)


def received(flags: int, data: bytes) -> Basic.Properties:
    """Return properties as they come out of a frame."""
    payload = struct.pack(">HHQH", 60, 0, 0, flags) + data
    head = struct.pack(">BHI", 2, 1, len(payload))
    _, _, header = frame.unmarshal(head + payload + b"\xce")
    assert isinstance(header, ContentHeader)
    return header.properties


def long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def headers_of(table: bytes) -> Any:
    return received(HEADERS, long(table)).headers


@pytest.mark.parametrize(
    ("seconds", "moment"),
    [
        (1_795_190_400, datetime.fromtimestamp(1_795_190_400, UTC)),
        (1_795_190_400_000, datetime.fromtimestamp(1_795_190_400, UTC)),  # as pamqp reads it
        (NANOSECONDS, None),
        (2**64 - 1, None),
    ],
)
def test_a_moment_that_does_not_exist_is_none(seconds: int, moment: datetime | None) -> None:
    data = struct.pack(">Q", seconds)

    assert received(TIMESTAMP, data).timestamp == moment
    assert headers_of(b"\1aT" + data) == {"a": moment}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"\xff\xfea", "??a"),
        (b"caf\xc3", "caf?"),
        (b"\xff" * 255, "?" * 255),
        (b"", ""),
    ],
)
def test_what_is_not_utf_8_becomes_question_marks(data: bytes, text: str) -> None:
    short = bytes((len(data),)) + data

    assert received(MESSAGE_TYPE, short).message_type == text
    assert headers_of(short + b"b\1" + b"\1bb\2") == {text: 1, "b": 2}


def test_tables_and_arrays_are_read_as_ever() -> None:
    headers: dict[str, Any] = {"a": [1, {"b": "c"}, []], "d": {}, "e": None}

    changed = retry_properties(Basic.Properties(headers=headers), attempt=1, routing_key="k")
    data = changed.marshal()

    assert received(int.from_bytes(data[:2]), data[2:]) == changed


def test_a_header_nested_too_deeply_is_cut_off_and_its_neighbours_are_read() -> None:
    deep = b""
    for _ in range(20_000):
        deep = b"A" + long(deep)

    headers = headers_of(b"\1a" + deep + b"\1bb\2")

    assert isinstance(headers["a"], list)
    assert headers["b"] == 2


@pytest.mark.parametrize(
    ("flags", "data"),
    [
        (TIMESTAMP, b"\xff" * 7),
        (HEADERS, b"\0\0\0\x09\1a"),
        (HEADERS, long(b"\1a?")),
    ],
    ids=["timestamp cut off", "table cut off", "no such type"],
)
def test_what_no_broker_sends_is_refused(flags: int, data: bytes) -> None:
    with pytest.raises(UnmarshalingException):
        received(flags, data)


def test_to_install_it_again_changes_nothing() -> None:
    lenient_decoding.install()

    assert headers_of(b"\1aT" + struct.pack(">Q", NANOSECONDS)) == {"a": None}


@given(st.binary(max_size=255), st.integers(0, 2**64 - 1))
def test_what_was_read_can_be_handed_on(text: bytes, moment: int) -> None:
    short = bytes((len(text),)) + text
    data = long(short + b"T" + struct.pack(">Q", moment)) + struct.pack(">Q", moment) + short

    properties = received(HEADERS | TIMESTAMP | MESSAGE_TYPE, data)

    assert retry_properties(properties, attempt=2, routing_key="k").marshal()
