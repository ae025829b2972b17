"""`relay capture`, and what the admin port asks of those who switch it on."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.eventually import LIMIT_S, eventually
from tests.support.relay_command import RelayCommand
from tests.support.relay_process import (
    NOWHERE,
    SECRET,
    RelayProcess,
    nothing_set_outside,
    numbered,
    post_all,
)

ORDER = {"source": "swiftsell", "for_s": 60, "refused": False}


@pytest.mark.parametrize("count", [1, 2])
async def test_it_saves_what_inspect_reads_and_switches_off(tmp_path: Path, count: int) -> None:
    saved = tmp_path / "saved"
    async with RelayProcess(tmp_path, broker_url=NOWHERE, ingress={"workers": count}) as relay:
        command = RelayCommand(tmp_path / "relay.toml")
        process = await command.start(
            *("capture", "swiftsell", "--save", str(saved), "--url", relay.admin_url)
        )
        assert process.stderr
        async with asyncio.timeout(LIMIT_S):
            assert b"Capturing" in await process.stderr.readline()
        await post_all(relay.url, numbered(6))

        await eventually(lambda: len(list(saved.glob("*.http"))) == 6)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0

        assert {path.name for path in saved.iterdir()} == {
            f"{number:02}.{kind}" for number in range(1, 7) for kind in ("json", "http")
        }
        bodies = {path.read_bytes() for path in saved.glob("*.json")}
        assert bodies == set(numbered(6))
        assert not any(SECRET in path.read_text() for path in saved.iterdir())
        assert (saved / "01.json").stat().st_mode & 0o777 == 0o600
        inspected = await command("inspect", "swiftsell", str(saved / "01.json"), "--json")
        assert json.loads(inspected.out)["status"] == "accepted"
        await eventually(lambda: len(relay.lines("capture off")) == count)
        assert len(relay.lines("capture on")) == count


async def test_it_shows_nothing_that_redact_leads_to_be_it_accepted_or_refused(
    tmp_path: Path,
) -> None:
    redact = {"sources.swiftsell.redact": {'"/message/text"': "mask"}}
    sent = numbered(1, start=4711)[0].replace(b"4711", b"private 1")
    async with RelayProcess(tmp_path, broker_url=NOWHERE, **redact) as relay:
        command = RelayCommand(tmp_path / "relay.toml")
        process = await command.start("capture", "swiftsell", "--url", relay.admin_url, "--json")
        assert process.stderr
        assert process.stdout
        async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession() as client:
            assert b"Capturing" in await process.stderr.readline()
            statuses = []
            for token in (SECRET, "guess"):
                headers = {"Authorization": token, "X-About": "private 1"}
                url = f"{relay.url}/in/swiftsell?about=private+1"
                async with client.post(url, data=sent, headers=headers) as answer:
                    statuses.append(answer.status)
            shown = [(await process.stdout.readline()).decode() for _ in statuses]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0

    assert statuses == [200, 401]
    for line in shown:
        assert "***" in json.loads(line)["body"]
        assert not re.search("private.1", line)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_source_that_is_not_there_is_an_error(tmp_path: Path, count: int) -> None:
    async with RelayProcess(tmp_path, broker_url=NOWHERE, ingress={"workers": count}) as relay:
        command = RelayCommand(tmp_path / "relay.toml")

        result = await command("capture", "nobody", "--url", relay.admin_url)

        assert result.code == 1
        assert "no such source" in result.err or "no source of that name" in result.err


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("POST", {}, 200),
        ("DELETE", {}, 200),
        ("POST", {"Host": "localhost"}, 200),
        ("POST", {"Host": "[::1]:9090"}, 200),
        ("PUT", {}, 405),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("DELETE", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 403),
        ("GET", {"Host": "evil.example"}, 403),
        ("GET", {"Host": "evil.example:9090"}, 403),
        ("POST", {"Host": "127.0.0.1.evil.example"}, 403),
    ],
)
async def test_no_browser_switches_it_on_or_reads_it(
    running: RelayProcess, method: str, headers: dict[str, str], status: int
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, f"{running.admin_url}/capture", json=ORDER, headers=headers
        ) as response,
    ):
        body: Any = await response.read()

    assert response.status == status, body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayProcess]:
    """One relay for all of these: none leaves it other than it was, but for what it captures."""
    with nothing_set_outside():
        async with RelayProcess(tmp_path_factory.mktemp("relay"), broker_url=NOWHERE) as relay:
            yield relay


@pytest.mark.parametrize("duration", ["", "0", "2h", "10 m", "-1s", "1d", "99999999"])
async def test_a_time_that_is_none_is_refused(tmp_path: Path, duration: str) -> None:
    RelayProcess(tmp_path, broker_url=NOWHERE)
    command = RelayCommand(tmp_path / "relay.toml")

    assert (await command("capture", "swiftsell", "--for", duration)).code == 2
