"""`relay openapi` against what a running relay answers: all that it names, and no other."""

import asyncio
import copy
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.errors import HeadTooSlow, NotForBrowsers, Refused
from tests.integration.openapi.asking import (
    BUGGY,
    PREFIX,
    REFUSED,
    SOURCES,
    Asker,
    concrete,
    relay,
    request,
    send_understood,
    understood_requests,
    write_vendor_with_a_bug,
)
from tests.integration.openapi.checking import (
    Answer,
    Document,
    documented,
    media_types,
    name_of,
    path_of,
    problems_of,
)
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import SECRET, RelayProcess

BATCH = b'{"events":[NaN,{"event":{"type":"note"}}]}'
TOKEN = {"Authorization": SECRET}


class Asked(NamedTuple):
    """A document, and all answers of relays that it is of."""

    document: dict[str, Any]
    answers: list[Answer]


async def document_of(process: RelayProcess) -> dict[str, Any]:
    command = RelayCommand(process.directory / "relay.toml")
    running = await command.start("openapi")
    out, err = await running.communicate()
    assert (running.returncode, err) == (0, b"")
    assert SECRET.encode() not in out
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture
async def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """All that is asked. It is one fixture, as all of it is held against one document."""
    packages = tmp_path / "packages"
    packages.mkdir()
    write_vendor_with_a_bug(packages)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    async with AsyncExitStack() as stack:
        main, busy, unsure, many = await asyncio.gather(
            stack.enter_async_context(relay(tmp_path / "main", is_buggy=True)),
            stack.enter_async_context(relay(tmp_path / "busy", is_buggy=True, max_connections=1)),
            stack.enter_async_context(relay(tmp_path / "unsure", ack_after="confirm")),
            stack.enter_async_context(relay(tmp_path / "many", workers=2)),
        )
        document = await document_of(main)
        answers = [
            *await refusals(document, main, busy),
            *await understood(tmp_path, main),
            *await not_now(main, unsure),
            *await admin_answers(main, Asker(main.admin_port)),
            *await admin_answers(many, Asker(many.admin_port)),
            *await admin_answers(unsure, Asker(unsure.admin_port)),
        ]
    return Asked(document, answers)


async def refusals(document: Document, main: RelayProcess, busy: RelayProcess) -> list[Answer]:
    """Ask on each path and with each method for each refusal that the document has there."""
    ingress, admin = Asker(main.port), Asker(main.admin_port)
    full = Asker(busy.port, at_once=1)
    waiting, turned_away = [], []
    for template, method, status in documented(document):
        path, public = concrete(template), template.startswith(PREFIX)
        if status == "503" and (public or template == "/{path}"):
            turned_away.append((method.upper(), path))
        elif int(status) in REFUSED:
            sent = request(method.upper(), path, headers=REFUSED[int(status)])
            askers = [ingress, admin] if template == "/{path}" else [ingress if public else admin]
            waiting += [asker.send(method.upper(), path, sent) for asker in askers]
    found = await asyncio.gather(*waiting)
    async with full.occupying():  # who is turned away gets the answer whatever comes
        return [*found, *[await full.send(*each, b"") for each in turned_away]]


async def understood(folder: Path, main: RelayProcess) -> list[Answer]:
    """Send what is understood, in all shapes there are."""
    asker = Asker(main.port)
    echo, text = f"{PREFIX}echo", {"Content_Type": "text/plain"}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    without_bug = relay(folder / "without-bug").directory / "relay.toml"
    return [
        *await send_understood(asker, understood_requests(without_bug)),
        await asker.ask("POST", echo, f'"{SECRET}"'.encode()),
        await asker.ask("POST", echo, SECRET.encode(), **text),
        await asker.ask("POST", echo, f"token={SECRET}".encode(), **form),
        await asker.ask("POST", echo, json.dumps({"token": SECRET}).encode()),
        await asker.ask("POST", echo, b"no JSON", **TOKEN),
        await asker.ask("POST", echo, BATCH, **TOKEN),
        await asker.ask("POST", echo, b'{"event":{"type":"typing"}}', **TOKEN),
        await asker.ask("POST", echo, b"{}"),
        *[
            await asker.ask(method, f"{PREFIX}{BUGGY}{end}{query}")
            for method in ("POST", "GET", "HEAD", "OPTIONS")
            for end in ("", "/secret")
            for query in ("?ask", "?bug")
        ],
        await asker.send("POST", echo, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 /\r\n\r\n"),
    ]


async def not_now(main: RelayProcess, unsure: RelayProcess) -> list[Answer]:
    """Send events while no broker is there to confirm them, and until the outbox is full."""
    sample = next(understood_requests(unsure.directory / "relay.toml"))[1].body
    path = f"{PREFIX}echo"
    found = [await Asker(unsure.port).ask("POST", path, sample.replace(b"conv", b"note"), **TOKEN)]
    asker, full = Asker(main.port), 503
    while (answer := await asker.ask("POST", path, b"x" * 19_000, **TOKEN)).status != full:
        found.append(answer)
    return [*found, answer]


async def admin_answers(process: RelayProcess, asker: Asker) -> list[Answer]:
    order = {"source": "echo", "for_s": 60, "refused": False}
    capture = json.dumps(order).encode()
    started = await asker.ask("POST", "/capture", capture)
    await Asker(process.port).ask("POST", f"{PREFIX}echo", b"a=b", X_Odd="1")
    return [
        started,
        *[
            await asker.ask(method, path)
            for path in ("/livez", "/readyz", "/metrics", "/drift", "/recent", "/recent?limit=0")
            for method in ("GET", "HEAD")
        ],
        await asker.ask("GET", "/recent?verdict=refused&limit=1000"),
        await asker.ask("GET", "/recent?latest=true&limit=1"),
        await asker.ask("GET", "/capture"),
        await asker.ask("GET", "/capture?after=x"),
        await asker.ask("POST", "/capture", b"{"),
        await asker.ask("POST", "/capture", capture.replace(b"60", b"-1")),
        *[
            await asker.ask(method, "/capture", b"", Origin="https://example.com")
            for method in ("GET", "POST", "DELETE")
        ],
        await asker.ask("DELETE", "/capture"),
    ]


IMPOSSIBLE = {
    # What its HEAD is answered with does not depend on what is sent.
    ("/in/head", "head", "405"),
    ("/in/head/{secret}", "head", "405"),
}


def needs_a_bug(path: str, status: str) -> bool:
    """500 needs a bug of ours. The source whose vendor has one shows it."""
    return status == "500" and not path.startswith(f"{PREFIX}{BUGGY}")


async def test_what_is_answered_is_what_the_document_says_and_all_of_it(asked: Asked) -> None:
    document, answers = asked

    assert [problem for answer in answers for problem in problems_of(document, answer)] == []

    given = {
        (path_of(document, answer.path), answer.method.lower(), str(answer.status))
        for answer in answers
    }
    never = set(documented(document)) - given - IMPOSSIBLE
    assert [each for each in sorted(never) if not needs_a_bug(each[0], each[2])] == []
    shown = {(name_of(document, answer), answer.media_type) for answer in answers}
    assert media_types(document) - shown == set()
    slugs = {json.loads(answer.body)["type"] for answer in answers if is_problem(answer)}
    assert slugs == {error.slug for error in refusals_there_are()}
    assert_each_change_is_seen(document, answers)


def is_problem(answer: Answer) -> bool:
    return answer.media_type == "application/problem+json" and bool(answer.body)


def refusals_there_are() -> set[type[Refused]]:
    """Return what the ingress answers; a head that is too slow gets no answer."""
    found, waiting = set(), [Refused]
    while waiting:
        found.add(error := waiting.pop())
        waiting += error.__subclasses__()
    return found - {HeadTooSlow, NotForBrowsers}


def assert_each_change_is_seen(document: Document, answers: list[Answer]) -> None:
    """Change what the document says of an answer in each way: the check must not pass."""
    by_name = {name_of(document, answer): answer for answer in answers if answer.body}
    for name, answer in by_name.items():
        for change in CHANGES:
            changed = copy.deepcopy(document)
            if name and change(changed["components"]["responses"][name]):
                assert [*problems_of(changed, answer)], (name, change)


def other_media_type(response: dict[str, Any]) -> bool:
    response["content"] = {"image/png": {}}
    return True


def other_body(response: dict[str, Any]) -> bool:
    for content in response["content"].values():
        content["schema"] = {"type": "array"}
    return True


def another_header(response: dict[str, Any]) -> bool:
    response["headers"] = {"X-Other": {"required": True, "schema": {}}}
    return True


def no_headers(response: dict[str, Any]) -> bool:
    return bool({"Allow", "Retry-After"} & set(response.pop("headers", ())))


CHANGES = (other_media_type, other_body, another_header, no_headers)


@pytest.mark.parametrize("names", [["echo"], ["crc", "slack"], [*SOURCES]])
async def test_the_document_is_valid_and_has_the_paths_of_the_settings(
    tmp_path: Path, names: list[str]
) -> None:
    process = relay(tmp_path / "relay", names=names)

    printed = await RelayCommand(process.directory / "relay.toml")("openapi")
    document = json.loads(printed.out)

    assert (printed.code, printed.err) == (0, "")
    assert SECRET not in printed.out
    assert [*OpenAPIV31SpecValidator(document).iter_errors()] == []
    paths = {path for path in document["paths"] if path.startswith(PREFIX)}
    assert {path.split("/")[2] for path in paths} == {*names, "{source}"}
    questions = document["paths"]["/in/crc"]["get"]["responses"] if "crc" in names else {"200": {}}
    assert "200" in questions
