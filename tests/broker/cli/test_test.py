"""`relay test`: payloads in a folder against what is expected of them. Needs no broker."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from relay import vendors
from tests.conftest import SAMPLES
from tests.support.relay_command import RelayCommand, Result
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess

SENT = {
    "event": "case:message:new",
    "data": {
        "caseId": "7",
        "message": {
            "id": "323",
            "type": "message",
            "message": "Hi",
            "senderType": "contact",
            "senderId": "5",
        },
    },
}


@pytest.fixture
def relay(tmp_path: Path) -> RelayCommand:
    RelayProcess(tmp_path, broker_url=NOWHERE, vendors=tuple(vendors.discover()))
    return RelayCommand(tmp_path / "relay.toml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one payload that is understood."""
    folder = tmp_path / "acquire"
    folder.mkdir()
    (folder / "01.json").write_text(json.dumps(SENT))
    return folder


def expectation(folder: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((folder / "01.expected.json").read_text())
    return expected


def expect(folder: Path, expected: object, name: str = "01") -> None:
    (folder / f"{name}.expected.json").write_text(json.dumps(expected))


@pytest.fixture
async def reviewed(relay: RelayCommand, folder: Path) -> dict[str, Any]:
    """What is expected of the payload, as --write puts it."""
    assert (await relay("test", str(folder), "--write")).code == 0
    return expectation(folder)


def failures(result: Result) -> list[list[str]]:
    """Return the differences shown: pointer, expected, found."""
    return [row[1:] for row in result.rows if row[0] == ""]


@pytest.mark.parametrize("vendor", sorted(path.name for path in SAMPLES.iterdir()))
async def test_the_packaged_samples_pass(relay: RelayCommand, vendor: str) -> None:
    result = await relay("test", str(SAMPLES / vendor), "--source", vendor)

    assert (result.code, result.err) == (0, "")
    assert {row[0] for row in result.rows} == {"passed"}
    assert len(result.rows) == len([*(SAMPLES / vendor).rglob("*.expected.json")])


async def test_a_missing_expectation_is_written_for_review(
    relay: RelayCommand, folder: Path
) -> None:
    missing = await relay("test", str(folder))
    written = await relay("test", str(folder), "--write")
    expected = (folder / "01.expected.json").read_bytes()
    again = await relay("test", str(folder), "--write")

    assert missing.rows == [
        ["failed", "01.json", "There is no 01.expected.json; --write makes one, for you to review."]
    ]
    assert (missing.code, missing.err) == (1, "relay: 1 of 1 failed.\n")
    assert (written.code, written.rows) == (
        0,
        [["written", "01.json", "01.expected.json: review it"]],
    )
    assert (again.code, again.rows) == (0, [["passed", "01.json"]])
    assert (folder / "01.expected.json").read_bytes() == expected
    [event] = json.loads(expected)["events"]
    assert (event["routing_key"], event["raw"]) == ("acquire.message.created.message", "")
    assert not {"id", "recordedtime"} & event.keys()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (
            lambda event: event["data"]["message"].update(text="Ho"),
            ["/events/0/data/message/text", 'expected "Ho"', 'found "Hi"'],
        ),
        (
            lambda event: event["data"].pop("contact", None) or event["data"].pop("actor"),
            ["/events/0/data/actor", "expected nothing", 'found {"type": "contact", "id": "5"}'],
        ),
        (
            lambda event: event["data"].update({"a/b~": [False]}),
            ["/events/0/data/a~1b~0", "expected [false]", "found nothing"],
        ),
        (
            lambda event: event.update(time="2026-11-28T00:00:00Z"),
            ["/events/0/time", 'expected "2026-11-28T00:00:00Z"', "found nothing"],
        ),
        (
            lambda event: event.update(routing_key="a.b"),
            ["/events/0/routing_key", 'expected "a.b"', 'found "acquire.message.created.message"'],
        ),
        (
            lambda event: event.update(source="/acquire/other"),
            ["/events/0/source", 'expected "/acquire/other"', 'found "/acquire/acquire"'],
        ),
        (
            lambda event: event.update(raw="/event"),
            ["/events/0/raw", 'expected "case:message:new"', f"found {json.dumps(SENT)}"],
        ),
    ],
    ids=["other", "unexpected", "missing", "time", "key", "named", "raw"],
)
async def test_a_difference_is_shown_with_its_pointer(
    relay: RelayCommand, folder: Path, reviewed: dict[str, Any], change: Any, shown: list[str]
) -> None:
    change(reviewed["events"][0])
    expect(folder, reviewed)

    result = await relay("test", str(folder))
    [described] = json.loads((await relay("test", str(folder), "--json")).out)

    assert (result.code, result.err) == (1, "relay: 1 of 1 failed.\n")
    assert failures(result) == [[cell if len(cell) < 200 else cell[:205] for cell in shown]] or (
        failures(result)[0][:2] == shown[:2]
    )
    assert described["differences"][0]["pointer"] == shown[0]
    assert described["verdict"] == "failed"


@pytest.mark.parametrize(
    "case",  # what is sent, what `raw` points to, and the difference
    [
        ({"n": 0}, {"n": False}, ["/n", "expected false", "found 0"]),
        ({"n": 1}, {"n": 1.0}, ["/n", "expected 1.0", "found 1"]),
        (
            {"n": 123456789012345678901234567890},
            {"n": 123456789012345678901234567891},
            [
                "/n",
                "expected 123456789012345678901234567891",
                "found 123456789012345678901234567890",
            ],
        ),
        ({"n": [1, 2]}, {"n": [1]}, ["/n/1", "expected nothing", "found 2"]),
        (
            {"n": {"a": 1, "b": 2}},
            {"n": {"b": 2, "a": 1}},
            ["/n", 'expected ["b", "a"]', 'found ["a", "b"]'],
        ),
    ],
    ids=["zero", "float", "big", "shorter", "order"],
)
async def test_the_element_must_be_what_raw_points_to_to_the_last_digit(
    relay: RelayCommand, folder: Path, case: tuple[Any, Any, list[str]]
) -> None:
    sent, other, shown = case
    element = {"event": {"type": "note"}}
    body = {"events": [element | sent], "other": element | other}
    (folder / "01.json").write_text(json.dumps(body))
    await relay("test", str(folder), "--source", "swiftsell", "--write")
    expected = expectation(folder)
    assert expected["events"][0].pop("raw") == "/events/0"
    expect(folder, {"events": [expected["events"][0] | {"raw": "/other"}]})

    result = await relay("test", str(folder), "--source", "swiftsell")

    pointer, *rest = shown
    assert failures(result) == [[f"/events/0/raw{pointer}", *rest]]


async def test_an_id_is_compared_where_the_expectation_names_it(
    relay: RelayCommand, folder: Path, reviewed: dict[str, Any]
) -> None:
    inspected = await relay("inspect", "acquire", str(folder / "01.json"), "--json")
    event_id = json.loads(inspected.out)["events"][0]["id"]

    codes = []
    for expected_id in (event_id, "0" * 32):
        reviewed["events"][0]["id"] = expected_id
        expect(folder, reviewed)
        codes.append((await relay("test", str(folder))).code)

    assert codes == [0, 1]


@pytest.mark.parametrize(
    "outcome",  # a body, its source, what is expected, and what would be wrong
    [
        (b"{", "acquire", {"quarantined": "not_json"}, {"quarantined": "unknown_shape"}),
        (b"[]", "acquire", {"quarantined": "unknown_shape"}, {"events": []}),
        (b"", "acquire", {"handshake": True}, {"events": []}),
        (SECRET.encode(), "swiftsell", {"handshake": True}, {"quarantined": "not_json"}),
        (
            b'{"events":[NaN,{"event":{"type":"note"}}]}',
            "swiftsell",
            {
                "events": [
                    {
                        "routing_key": "swiftsell.note.created",
                        "type": "note.created",
                        "vendortype": "note",
                        "data": {},
                        "raw": "/events/1",
                    }
                ],
                "quarantined": ["not_json"],
            },
            {"events": [], "quarantined": ["not_json"]},
        ),
    ],
    ids=["not-json", "shape", "test-call", "handshake", "alone"],
)
async def test_quarantine_and_handshake_are_expected_likewise(
    relay: RelayCommand, folder: Path, outcome: tuple[bytes, str, object, object]
) -> None:
    body, source, expected, wrong = outcome
    (folder / "01.json").unlink()
    (folder / "02.txt").write_bytes(body)

    written = await relay("test", str(folder), "--source", source, "--write")
    made = json.loads((folder / "02.expected.json").read_text())
    expect(folder, wrong, "02")
    failed = await relay("test", str(folder), "--source", source)

    assert (written.code, made) == (0, expected)
    assert failed.code == 1
    assert failures(failed)


async def test_an_expectation_may_say_how_the_payload_comes_in(
    relay: RelayCommand, folder: Path
) -> None:
    (folder / "01.json").write_bytes(b'{"token":"other"}')
    expect(folder, {"handshake": True, "request": {"headers": {"X-Token": SECRET}, "query": "a=1"}})

    result = await relay("test", str(folder), "--source", "swiftsell")

    assert (result.code, result.rows) == (0, [["passed", "01.json"]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"{", "01.expected.json is no JSON, or too deep."),
        (b"[" * 100_000, "01.expected.json is no JSON, or too deep."),
        (b"\xff", "01.expected.json is no JSON, or too deep."),
        (b'{"handshake":NaN}', "01.expected.json is no JSON, or too deep."),
        (b"[]", "it must be an object with events, quarantined or handshake"),
        (b"{}", "it must be an object with events, quarantined or handshake"),
        (b'{"event":[]}', "it must be an object with events, quarantined or handshake"),
        (b'{"events":[],"x\\u001b":1}', r'it has "x\u001b", which is none of events'),
        (b'{"events":{}}', "events must be an array of objects"),
        (b'{"events":[1]}', "events must be an array of objects"),
        (b'{"events":[{"raw":1}]}', "the raw of an event must be a JSON pointer"),
        (b'{"events":[{"without":"a"}]}', "its without an array of strings"),
        (b'{"events":[{"raw":"/nowhere"}]}', 'raw is "/nowhere", which points to nothing in it.'),
        (b'{"events":[{"raw":"event"}]}', 'raw is "event", which points to nothing in it.'),
        (b'{"events":[{"raw":"/data/0"}]}', 'raw is "/data/0", which points to nothing in it.'),
        (b'{"events":[],"request":1}', "request must be an object with headers"),
        (b'{"events":[],"request":{"headers":{"a":1}}}', "request must be an object with headers"),
        (b'{"events":[],"request":{"query":1}}', "request must be an object with headers"),
    ],
)
async def test_a_broken_expectation_gives_one_sentence(
    relay: RelayCommand, folder: Path, text: bytes, sentence: str
) -> None:
    (folder / "01.expected.json").write_bytes(text)

    result = await relay("test", str(folder), "--write")

    [[verdict, file, problem]] = result.rows
    assert (result.code, verdict, file) == (1, "failed", "01.json")
    assert sentence in problem
    assert "\x1b" not in result.out
    assert (folder / "01.expected.json").read_bytes() == text


async def test_one_broken_file_holds_up_no_other(relay: RelayCommand, folder: Path) -> None:
    await relay("test", str(folder), "--write")
    (folder / "02.json").write_bytes(b"x" * 2000)
    os.mkfifo(folder / "03.json")
    (folder / "04.json").symlink_to("/nowhere")
    expect(folder, {"handshake": True}, "05")
    (folder / "06-\x1b[31m.json").write_bytes(b"")

    result = await relay("test", str(folder), RELAY_INGRESS__BODY_LIMIT_BYTES="1000")

    assert result.rows[0] == ["passed", "01.json"]
    assert [row[:2] for row in result.rows[1:]] == [
        ["failed", "02.json"],
        ["failed", r"06-\u001b[31m.json"],
        ["failed", "05.expected.json"],
    ]
    assert "413" in result.rows[1][2]
    assert result.rows[3][2] == "It has no payload."
    assert result.err == "relay: 3 of 4 failed.\n"


async def test_the_source_is_named_by_an_option_or_by_the_folder(
    relay: RelayCommand, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)

    nameless = await relay("test", str(other), "--write")
    unknown = await relay("test", str(other), "--source", "nobody")
    named = await relay("test", str(other), "--source", "acquire", "--write")
    RelayProcess(tmp_path, broker_url="amqp://127.0.0.1:1/", vendors=("acquire",))
    alone = await relay("test", str(other))

    assert nameless.err == (
        "relay: No source is called 'other'; name one with --source, "
        f"of {', '.join(vendors.discover())}.\n"
    )
    assert unknown.err.startswith("relay: There is no source 'nobody'; there are acquire, ")
    assert (named.code, alone.code) == (0, 0)


async def test_a_folder_without_payloads_is_no_success(relay: RelayCommand, tmp_path: Path) -> None:
    folder = tmp_path / "acquire"
    folder.mkdir()
    (folder / "README.md").write_text("nothing")

    result = await relay("test", str(folder))

    assert (result.code, result.out) == (1, "")
    assert result.err == f"relay: There is no payload in {folder}: no .json and no .txt.\n"
