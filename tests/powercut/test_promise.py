"""What is owed is read off the wire: an answer from its first byte on, until RabbitMQ's confirm."""

from collections import Counter
from pathlib import Path

import pytest
from pamqp import base, commands, frame, header

from tests.powercut import recording
from tests.powercut.promise import WirePromise
from tests.powercut.recording import Call

GREETING = b"AMQP\x00\x00\x09\x01"
CALLER, BROKER = "socket:[1]", "socket:[2]"


def call(name: str, path: str, data: bytes, *, result: int | None = None) -> Call:
    returned = len(data) if result is None else result
    return Call(name, "7", path, [data], "", is_begun=True, is_done=True, result=returned)


def answer(document: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + document


def method(content: base.Frame, channel: int = 1) -> bytes:
    return frame.marshal(content, channel)


def published(event_id: str, channel: int = 1) -> bytes:
    properties = commands.Basic.Properties(message_id=event_id)
    return (
        method(commands.Basic.Publish(exchange="e", routing_key="k"), channel)
        + frame.marshal(header.ContentHeader(0, 4, properties), channel)
        + b"\x03"
        + channel.to_bytes(2)
        + (4).to_bytes(4)
        + b"body\xce"
    )


def returned(event_id: str) -> bytes:
    properties = commands.Basic.Properties(message_id=event_id)
    return method(commands.Basic.Return(312, "NO_ROUTE", "e", "k")) + frame.marshal(
        header.ContentHeader(0, 0, properties), 1
    )


def ack(tag: int, *, multiple: bool = False, channel: int = 1) -> bytes:
    return method(commands.Basic.Ack(tag, multiple), channel)


def promise_of(*ids: str) -> WirePromise:
    """Return one where these were answered and published, in this order, on channel 1."""
    promise = WirePromise()
    promise.see(call("write", BROKER, GREETING + method(commands.Confirm.Select())))
    for event_id in ids:
        promise.see(
            call(
                "write",
                CALLER,
                answer(b'{"status":"accepted","events":["%b"]}' % event_id.encode()),
            )
        )
        promise.see(call("write", BROKER, published(event_id)))
    return promise


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'{"status":"accepted","events":["a","b"],"token":"t"}', "ab"),
        (b'{"status":"quarantined","reason":"not_json","id":"q"}', "q"),
        (b'{"status":"accepted","events":["a"],"quarantined":[{"reason":"r","id":"q"}]}', "aq"),
        (b'{"status":"accepted","events":[]}', ""),
        (b'{"token":"t"}', ""),
        (b"relay_requests_total 7", ""),
    ],
)
def test_an_answer_is_owed_from_the_moment_it_is_handed_to_the_system(
    document: bytes, expected: str
) -> None:
    promise = WirePromise()

    promise.see(call("write", CALLER, answer(document))._replace(is_done=False, result=0))

    assert promise.owed == promise.acknowledged == Counter(expected)


def test_other_answers_and_files_promise_nothing() -> None:
    promise = WirePromise()
    document = b'{"status":"accepted","events":["a"]}'

    promise.see(call("write", "/var/log", answer(document)))
    promise.see(call("write", CALLER, answer(document).replace(b"200 OK", b"503 No")))
    promise.see(call("read", CALLER, answer(document)))

    assert not promise.owed


@pytest.mark.parametrize(
    ("frames", "left"),
    [
        (ack(1), "bc"),
        (ack(2), "ac"),
        (ack(2, multiple=True), "c"),
        (ack(3, multiple=True), ""),
        (ack(1) + ack(3, multiple=True), ""),
        (method(commands.Basic.Nack(2)), "abc"),
        (method(commands.Basic.Nack(1)) + ack(2, multiple=True), "ac"),
        (returned("b") + ack(3, multiple=True), "b"),
        (ack(1, channel=2), "abc"),
        (b"\x08\x00\x00\x00\x00\x00\x00\xce" + ack(1), "bc"),
    ],
)
def test_a_confirm_ends_what_is_owed(frames: bytes, left: str) -> None:
    at_once, in_pieces = promise_of("a", "b", "c"), promise_of("a", "b", "c")

    at_once.see(call("read", BROKER, frames))
    for position in range(len(frames)):
        in_pieces.see(call("read", BROKER, frames[position : position + 1]))

    assert at_once.owed == in_pieces.owed == Counter(left)


def test_a_channel_that_is_opened_anew_counts_from_one_again() -> None:
    promise = promise_of("a", "b")
    promise.see(call("write", BROKER, method(commands.Confirm.Select()) + published("b")))

    promise.see(call("read", BROKER, ack(1)))

    assert promise.owed == Counter("a")


def test_what_was_written_in_part_is_written_again() -> None:
    promise = promise_of("a")
    data = published("b") + published("c")
    promise.see(call("write", CALLER, answer(b'{"status":"accepted","events":["b","c"]}')))
    promise.see(call("write", BROKER, data, result=11))
    promise.see(call("write", BROKER, data[11:]))

    promise.see(call("read", BROKER, ack(2)))

    assert promise.owed == Counter("ac")


def test_a_confirm_that_comes_before_the_answer_counts() -> None:
    promise = WirePromise()
    promise.see(call("write", BROKER, GREETING + method(commands.Confirm.Select())))
    promise.see(call("write", BROKER, published("a")))
    promise.see(call("read", BROKER, ack(1)))

    promise.see(call("write", CALLER, answer(b'{"status":"accepted","events":["a"]}')))

    assert not promise.owed


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def test_the_end_of_an_interrupted_call_knows_its_beginning(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    socket, file = f"5<{hexed('socket:[9]')}>", f"6<{hexed('/disk/outbox.db-wal')}>"
    trace.write_text(
        f'11  write({socket}, "{hexed("abc")}", 3 <unfinished ...>\n'
        f"12  fdatasync({file} <unfinished ...>\n"
        "11  <... write resumed>)              = 2\n"
        f"13  read({socket},  <unfinished ...>\n"
        f'13  <... read resumed>"{hexed("xy")}", 100) = 2\n'
        '14  <... read resumed>"", 100) = 0\n'
        "12  <... fdatasync resumed>)         = ?\n"
        "12  +++ killed by SIGKILL +++\n"
    )

    found = list(recording.calls(trace))

    assert [(c.name, c.path, c.strings, c.is_begun, c.is_done, c.result) for c in found] == [
        ("write", "socket:[9]", [b"abc"], True, False, 0),
        ("fdatasync", "/disk/outbox.db-wal", [], True, False, 0),
        ("write", "socket:[9]", [b"abc"], False, True, 2),
        ("read", "socket:[9]", [], True, False, 0),
        ("read", "socket:[9]", [b"xy"], False, True, 2),
        ("fdatasync", "/disk/outbox.db-wal", [], False, False, 0),
    ]
