"""The console before its pages, over HTTP: hosts, roles, origins, methods, headers."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from relay.console.deployment import Deployment
from relay.console.server import running
from relay.errors import SettingsError
from relay.settings import load

NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
TOKENS = (
    'tokens = {viewer = ["viewer-token"], reader = ["reader-token"], operator = ["oper-token"]}'
)


def deployment_with(directory: Path, console: str) -> Deployment:
    config = directory / "relay.toml"
    config.write_text(
        f'[console]\n{console}\n[broker]\nurls = ["{NO_BROKER}"]\n'
        '[sources.acme]\nvendor = "swiftsell"\nsecrets = ["top-secret-value"]\n'
    )
    return Deployment(load(config))


@pytest.fixture
def settings() -> str:
    return TOKENS


@pytest.fixture
async def url(tmp_path: Path, settings: str) -> AsyncIterator[str]:
    async with running(deployment_with(tmp_path, settings)) as (application, _):
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def ask(
    url: str, method: str = "GET", headers: Mapping[str, str] | None = None, **fields: str
) -> tuple[int, str, Mapping[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(
            method, url, headers=headers, data=fields or None, allow_redirects=False
        ) as response,
    ):
        return response.status, await response.text(), response.headers


@pytest.mark.parametrize("path", ["/", "/system", "/catalogue", "/asyncapi.json", "/nothing"])
async def test_without_a_token_no_page_is_shown(url: str, path: str) -> None:
    status, text, _ = await ask(url + path)

    assert status == 401
    assert "acme" not in text


@pytest.mark.parametrize("path", ["/", "/system", "/catalogue", "/asyncapi.json"])
async def test_with_a_token_a_page_is_shown_and_no_secret(url: str, path: str) -> None:
    status, text, headers = await ask(url + path, headers={"Authorization": "Bearer viewer-token"})

    assert status == 200
    assert not any(secret in text for secret in ("top-secret-value", "oper-token", "guest:guest"))
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[::2]:80", "10.0.0.1"]
)
async def test_another_host_name_is_misdirected(url: str, host: str) -> None:
    status, _, headers = await ask(url + "/login", headers={"Host": host})

    assert status == 421
    assert "Content-Security-Policy" in headers


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9080", "[::1]:1"])
async def test_loopback_has_several_names(url: str, host: str) -> None:
    status, _, _ = await ask(url + "/login", headers={"Host": host})

    assert status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "SELF"},
    ],
)
async def test_a_form_from_elsewhere_is_refused(url: str, headers: dict[str, str]) -> None:
    given = {name: value.replace("SELF", url) for name, value in headers.items()}

    status, _, _ = await ask(url + "/login", "POST", given, token="oper-token")

    assert status == 403


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "SELF"}])
async def test_one_logs_in_with_a_form_of_ours(url: str, headers: dict[str, str]) -> None:
    given = {name: value.replace("SELF", url) for name, value in headers.items()}

    status, _, answer = await ask(url + "/login", "POST", given, token="oper-token", next="/system")
    cookie = answer["Set-Cookie"]
    shown, text, _ = await ask(url + "/", headers={"Cookie": cookie.partition(";")[0]})

    assert (status, answer["Location"], shown) == (303, "/system", 200)
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "operator token" in text


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", ""]
)
async def test_logging_in_leads_nowhere_else(url: str, target: str) -> None:
    own = {"Sec-Fetch-Site": "same-origin"}

    _, _, answer = await ask(url + "/login", "POST", own, token="oper-token", next=target)

    assert answer["Location"] == "/"


async def test_logging_out_needs_the_token_of_our_form(url: str) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Authorization": "Bearer oper-token"}

    assert (await ask(url + "/logout", "POST", own, form_token="guessed"))[0] == 403
    assert (await ask(url + "/logout", "GET", own))[0] == 405


async def test_what_a_broken_receiver_or_broker_means_is_said(url: str) -> None:
    _, text, _ = await ask(url + "/", headers={"Authorization": "Bearer viewer-token"})

    assert "0 of " in text or "No receiver was found" in text
    assert "RabbitMQ" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "console.example.com"])
def test_it_does_not_start_for_everyone_without_tokens(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError) as error:
        deployment_with(tmp_path, f'host = "{host}"')

    assert "console.tokens" in str(error.value)


@pytest.mark.parametrize(
    "console",
    ['host = "127.0.0.1"', f'host = "0.0.0.0"\n{TOKENS}',
     'host = "::"\ntrusted_proxies = ["10.0.0.0/8"]'],
)  # fmt: skip
def test_it_starts_where_it_is_safe(tmp_path: Path, console: str) -> None:
    assert deployment_with(tmp_path, console).sources


@pytest.mark.parametrize(
    ("console", "problem"),
    [
        ('receivers = ["ftp://x"]', "console.receivers"),
        ('receivers = ["http://user:password@x"]', "console.receivers"),
        ('services = {archive = "nothing"}', "console.services"),
        ('tokens = {operator = ["short"]}', "console.tokens.operator"),
        ('tokens = {admin = ["long-enough"]}', "console.tokens.admin"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, console: str, problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        deployment_with(tmp_path, console)

    assert problem in str(error.value)
    assert "short" not in str(error.value)


@pytest.mark.parametrize("host", ["10.1.2.3:9080", "evil.example"])
async def test_whoever_asks_by_any_name_learns_that_it_lives_and_no_more(
    url: str, host: str
) -> None:
    status, text, headers = await ask(f"{url}/livez", headers={"Host": host})

    assert (status, text) == (200, '{"alive": true}')
    assert headers["Cache-Control"] == "no-store"
