"""`relay inspect`: a dry run. Needs no broker, and proves it by having none."""

import json
from pathlib import Path

import pytest

from tests.conftest import SAMPLES
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import NOWHERE, SECRET, RelayProcess

TEXT = SAMPLES / "swiftsell" / "02-message-text.json"
MALFORMED = SAMPLES / "acquire" / "malformed" / "06-chat_on_close.txt"
TRUSTED = "Taken as authenticated, though no secret was found in it.\n"


@pytest.fixture
def relay(tmp_path: Path) -> RelayCommand:
    RelayProcess(
        tmp_path,
        broker_url=NOWHERE,
        vendors=("acquire", "pickyassist", "swiftsell"),
    )
    return RelayCommand(tmp_path / "relay.toml")


async def test_events_are_shown_with_their_ids_and_keys(relay: RelayCommand) -> None:
    result = await relay("inspect", "swiftsell", str(TEXT))

    head, _, document = result.out.partition("\n")
    event = json.loads(document)
    assert (result.code, result.err) == (0, TRUSTED)
    assert head.split("\t") == ["accepted", event["id"], "swiftsell.message.created.text"]
    assert event["data"]["message"] == {"kind": "text", "text": "Hiiiii"}


async def test_an_element_that_would_be_quarantined_alone_is_shown_among_the_events(
    relay: RelayCommand, tmp_path: Path
) -> None:
    batch = tmp_path / "batch.json"
    batch.write_bytes(b'{"events":[NaN,{"event":{"type":"note"}}]}')

    shown = json.loads((await relay("inspect", "swiftsell", str(batch), "--json")).out)
    [first, second, *_] = (await relay("inspect", "swiftsell", str(batch))).rows

    [element], [event] = shown["quarantined"], shown["events"]
    assert (shown["status"], element["reason"]) == ("accepted", "not_json")
    assert first == ["quarantined", "not_json", element["id"], "swiftsell.not_json"]
    assert second == ["accepted", event["id"], "swiftsell.note.created"]


async def test_a_program_gets_one_line_of_json(relay: RelayCommand) -> None:
    result = await relay("inspect", "swiftsell", str(TEXT), "--json")

    shown = json.loads(result.out)
    assert (shown["status"], shown["authenticated"]) == ("accepted", False)
    assert shown["events"][0]["routing_key"] == "swiftsell.message.created.text"
    assert shown["events"][0]["id"] == shown["events"][0]["event"]["id"]


async def test_an_event_that_nothing_tells_apart_has_a_new_id_per_delivery(
    relay: RelayCommand,
) -> None:
    spoken = str(SAMPLES / "acquire" / "04-chat_on_message-short.repaired.json")

    results = [await relay("inspect", "acquire", spoken, "--json") for _ in range(2)]
    [row, *_] = (await relay("inspect", "acquire", spoken)).rows
    told_apart = await relay("inspect", "swiftsell", str(TEXT), "--json")

    first, second = (json.loads(result.out)["events"][0] for result in results)
    assert first["id"] != second["id"]
    assert first["new_id_per_delivery"] is second["new_id_per_delivery"] is True
    assert row[2:] == ["acquire.message.created.message", "a new id per delivery"]
    assert json.loads(told_apart.out)["events"][0]["new_id_per_delivery"] is False


async def test_a_big_integer_is_shown_as_it_was_sent(relay: RelayCommand) -> None:
    body = b'{"event":"x","data":{"n":123456789012345678901234567890}}'

    for options in ([], ["--json"]):
        result = await relay("inspect", "acquire", "-", *options, stdin=body)

        assert "123456789012345678901234567890" in result.out


async def test_what_would_be_quarantined_is_shown_with_its_reason(relay: RelayCommand) -> None:
    row = (await relay("inspect", "acquire", str(MALFORMED))).rows[0]
    shown = json.loads((await relay("inspect", "acquire", str(MALFORMED), "--json")).out)

    assert row == ["quarantined", "not_json", shown["id"], "acquire.not_json"]
    assert (shown["status"], shown["reason"]) == ("quarantined", "not_json")


async def test_a_handshake_is_told_from_an_event(relay: RelayCommand) -> None:
    token = json.dumps({"token": SECRET}).encode()

    result = await relay("inspect", "swiftsell", "-", stdin=SECRET.encode())
    test_call = await relay("inspect", "swiftsell", "-", "--json", stdin=token)

    assert (result.code, result.err) == (0, "")
    assert result.rows == [["handshake", "the token is read back"]]
    assert json.loads(test_call.out) == {"status": "handshake", "authenticated": True}
    assert SECRET not in result.out + test_call.out


@pytest.mark.parametrize(
    "proof",
    [["--header", f"Authorization: {SECRET}"], ["--query", f"token={SECRET}"]],
    ids=["header", "query"],
)
async def test_a_proof_is_checked_on_demand(relay: RelayCommand, proof: list[str]) -> None:
    result = await relay("inspect", "swiftsell", str(TEXT), "--authenticate", *proof)

    assert (result.code, result.err) == (0, "")


async def test_without_a_proof_it_would_be_refused(relay: RelayCommand) -> None:
    result = await relay(
        "inspect", "swiftsell", str(TEXT), "--authenticate", "--header", "Authorization: wrong"
    )

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("relay: It would be refused with 401: ")


async def test_a_body_over_the_limit_would_be_refused(relay: RelayCommand) -> None:
    result = await relay("inspect", "swiftsell", str(TEXT), RELAY_INGRESS__BODY_LIMIT_BYTES="100")

    assert result.code == 1
    assert "It would be refused with 413" in result.err


async def test_an_unknown_source_is_answered_with_the_known_ones(relay: RelayCommand) -> None:
    result = await relay("inspect", "nobody", str(TEXT))

    assert (result.code, result.err) == (
        1,
        "relay: There is no source 'nobody'; there are acquire, pickyassist, swiftsell.\n",
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/nowhere", "No such file or directory"), ("/etc/passwd/x", "Not a directory")],
)
async def test_a_file_that_cannot_be_read_is_named(
    relay: RelayCommand, path: str, reason: str
) -> None:
    result = await relay("inspect", "swiftsell", path)

    assert (result.code, result.err) == (1, f"relay: The file {path} can't be read: {reason}.\n")


async def test_a_folder_gives_a_table_with_a_line_per_event(relay: RelayCommand) -> None:
    folder = SAMPLES / "acquire"

    result = await relay("inspect", "acquire", str(folder))
    shown = json.loads((await relay("inspect", "acquire", str(folder), "--json")).out)

    rows = {row[0]: row[1:] for row in result.rows}
    payloads = {path.relative_to(folder) for path in folder.rglob("*.json")}
    payloads |= {path.relative_to(folder) for path in folder.rglob("*.txt")}
    names = {str(path) for path in payloads if not path.name.endswith(".expected.json")}
    assert (result.code, result.err) == (0, "Taken as authenticated where no secret was found.\n")
    assert set(rows) == {each["file"] for each in shown} == names
    verdict, event_type, key, event_id, note = rows["04-chat_on_message-short.repaired.json"]
    assert (verdict, event_type, note) == ("accepted", "message.created", "a new id per delivery")
    assert (key, len(event_id)) == ("acquire.message.created.message", 32)
    [malformed] = [each for each in shown if each["file"] == "malformed/06-chat_on_close.txt"]
    assert rows["malformed/06-chat_on_close.txt"] == [
        *("quarantined", "", "acquire.not_json", malformed["id"], "not_json")
    ]


async def test_a_folder_with_a_file_that_would_be_refused_is_no_success(
    relay: RelayCommand, tmp_path: Path
) -> None:
    folder = tmp_path / "payloads"
    folder.mkdir()
    (folder / "1-large.json").write_bytes(b"x" * 2000)
    (folder / "2-\x1b[31m.json").write_bytes(b'{"events":[NaN,{"event":{"type":"note"}}]}')
    (folder / "3.json").write_bytes(SECRET.encode())
    (folder / "3.expected.json").write_bytes(b"{}")
    (folder / "notes.md").write_bytes(b"")
    limit = {"RELAY_INGRESS__BODY_LIMIT_BYTES": "1000"}

    result = await relay("inspect", "swiftsell", str(folder), **limit)
    shown = json.loads((await relay("inspect", "swiftsell", str(folder), "--json", **limit)).out)
    unsigned = await relay("inspect", "swiftsell", str(folder), "--authenticate")

    assert (result.code, result.err.splitlines()[1:]) == (
        1,
        ["relay: 1 of 3 files would be refused, or can't be read."],
    )
    assert [row[:3] for row in result.rows] == [
        ["1-large.json", "refused", ""],
        [r"2-\u001b[31m.json", "quarantined", ""],
        [r"2-\u001b[31m.json", "accepted", "note.created"],
        ["3.json", "handshake", ""],
    ]
    assert [each["status"] for each in shown] == ["refused", "accepted", "handshake"]
    assert [row[1] for row in unsigned.rows] == ["refused", "refused", "handshake"]


async def test_a_folder_without_payloads_says_so(relay: RelayCommand, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()

    result = await relay("inspect", "swiftsell", str(folder))

    assert (result.code, result.err) == (
        1,
        f"relay: There is no payload in {folder}: no .json and no .txt.\n",
    )


async def test_a_header_without_a_colon_is_a_usage_error(relay: RelayCommand) -> None:
    result = await relay("inspect", "swiftsell", str(TEXT), "--header", "Authorization")

    assert result.code == 2
    assert "'Authorization' is not 'Name: value'" in result.err


async def test_a_person_sees_colours(relay: RelayCommand) -> None:
    result = await relay.on_terminal("inspect", "swiftsell", str(TEXT))

    assert (result.code, result.err) == (0, TRUSTED)
    assert '\x1b[32m"Hiiiii"\x1b[0m' in result.out


async def test_a_stranger_cannot_drive_the_terminal(relay: RelayCommand) -> None:
    hostile = '{"event":"x","data":{"caseId":"\x9b2J\u202e"}}'

    result = await relay("inspect", "acquire", "-", stdin=hostile.encode())

    assert "\\u009b2J\\u202e" in result.out
    assert "\x9b" not in result.out


async def test_what_the_source_redacts_and_ignores_is_seen(tmp_path: Path) -> None:
    redact = json.dumps({"/message/text": "mask", "/raw/event/payload/message/text": "mask"})
    settings = {"redact": redact, "ignore": ["note.*"]}
    RelayProcess(tmp_path, broker_url=NOWHERE, sources__swiftsell=settings)
    relay = RelayCommand(tmp_path / "relay.toml")
    quarantined = b'{"event":{"payload":{"message":{"text":"Hiiiii"}}},"n":1.0}'

    event = json.loads((await relay("inspect", "swiftsell", str(TEXT), "--json")).out)
    odd = await relay("inspect", "swiftsell", "-", "--json", stdin=quarantined)
    bad = await relay("inspect", "swiftsell", "-", stdin=b"Hiiiii")
    note = await relay("inspect", "swiftsell", "-", stdin=b'{"events":[{"event":{"type":"note"}}]}')

    assert event["events"][0]["event"]["data"]["message"]["text"] == "***"
    assert "Hiiiii" not in json.dumps(event)
    assert json.loads(odd.out)["body"] == quarantined.decode().replace("Hiiiii", "***")
    assert "can't be redacted" in bad.err
    assert bad.rows[-1] == ["Hiiiii"]
    assert note.rows[0][0] == "ignored"
