"""The section `[consumers.forward]`: what it may say, and what is wrong with it."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers.forward.networks import EVERYWHERE
from consumers.forward.service import ForwardSettings, opened
from consumers.kit.settings import load
from relay.errors import SettingsError
from tests.support.rows import for_each_row

pytestmark = pytest.mark.usefixtures("in_empty_directory")

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CRM = {"url": "https://crm.example.com/hooks", "bindings": ["*.message.#"], "secrets": [SECRET]}

Written = Callable[[str], Path]


def section(name: str = "crm", more: str = "", **fields: object) -> str:
    lines = [f"{key} = {value!r}" for key, value in (CRM | fields).items() if value is not None]
    return (
        more
        + f"\n[consumers.forward.endpoints.{name}]\n"
        + "\n".join(lines).replace("True", "true").replace("False", "false")
    )


@pytest.fixture
def read(written: Written) -> Callable[[str], ForwardSettings]:
    def read(text: str) -> ForwardSettings:
        return load("forward", ForwardSettings, written(text))[1]

    return read


@pytest.fixture
def problem(read: Callable[[str], ForwardSettings]) -> Callable[[str], str]:
    """Return the one thing that is wrong with a settings file of this text."""

    def problem(text: str) -> str:
        with pytest.raises(SettingsError) as caught:
            read(text)
        (text,) = caught.value.problems
        return text.removeprefix("consumers.forward.")

    return problem


def test_an_endpoint_needs_an_address_bindings_and_a_secret(
    read: Callable[[str], ForwardSettings],
) -> None:
    settings = read(section())

    crm = settings.endpoints["crm"]
    assert (crm.timeout_s, crm.allow_private) == (15, [])
    assert (crm.failures_to_pause, crm.longest_pause_s) == (5, 240)
    assert settings.admin.port == 9092


def test_the_port_stays_when_only_the_host_is_set(read: Callable[[str], ForwardSettings]) -> None:
    settings = read(section(more="[consumers.forward.admin]\nhost = '10.0.0.1'"))

    assert (settings.admin.host, settings.admin.port) == ("10.0.0.1", 9092)


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        (True, list(map(str, EVERYWHERE))),
        (False, []),
        ("true", list(map(str, EVERYWHERE))),
        (["10.0.0.0/8", "fd00::/8"], ["10.0.0.0/8", "fd00::/8"]),
        ("10.0.0.0/8, 192.168.0.0/16", ["10.0.0.0/8", "192.168.0.0/16"]),
    ],
)
def test_private_networks_are_allowed_all_or_by_name(
    value: object, networks: list[str], read: Callable[[str], ForwardSettings]
) -> None:
    settings = read(section(allow_private=value))

    assert list(map(str, settings.endpoints["crm"].allow_private)) == networks


def test_an_endpoint_can_come_from_the_environment(
    read: Callable[[str], ForwardSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_SECRET", SECRET)
    place = "RELAY_CONSUMERS__FORWARD__ENDPOINTS__CRM__"
    monkeypatch.setenv(place + "URL", "http://10.0.0.1/")
    monkeypatch.setenv(place + "ALLOW_PRIVATE", "true")
    monkeypatch.setenv(place + "BINDINGS", "a.#,b.#")
    monkeypatch.setenv(place + "SECRETS", "env:CRM_SECRET")

    crm = read("").endpoints["crm"]

    assert (crm.url, crm.bindings, crm.secrets) == (
        "http://10.0.0.1/",
        ["a.#", "b.#"],
        ["env:CRM_SECRET"],
    )


@for_each_row(
    ("fields", "setting", "said"),
    [
        ({"url": None}, "url", "is missing"),
        ({"bindings": None}, "bindings", "is missing"),
        ({"secrets": None}, "secrets", "is missing"),
        ({"method": "PUT"}, "method", "is no setting"),
        ({"url": "crm.example.com"}, "url", "must be https://host/path"),
        ({"url": "ftp://crm.example.com/"}, "url", "must be https://host/path"),
        ({"url": "https:///hooks"}, "url", "must be https://host/path"),
        ({"url": "https://crm:99999/"}, "url", "must be https://host/path"),
        ({"url": "https://me@crm.example.com/"}, "url", "remove the user name and password"),
        ({"url": "https://:x@crm.example.com/"}, "url", "remove the user name and password"),
        ({"url": "http://crm.example.com/"}, "url", "or allow_private be set"),
        ({"url": "https://127.0.0.1/"}, "url", "its address is private"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", "its address is private"),
        ({"url": "https://10.0.0.1/", "allow_private": ["10.1.0.0/16"]}, "url", "is private"),
        ({"allow_private": ["home"]}, "allow_private.0", "'home' is no network"),
        ({"allow_private": "yes"}, "allow_private.0", "'yes' is no network"),
        ({"bindings": []}, "bindings", "at least one pattern"),
        ({"bindings": ["x" * 256]}, "bindings", "at most 255 bytes"),
        ({"secrets": []}, "secrets", "at least 1 item"),
        ({"secrets": [SECRET] * 11}, "secrets", "at most 10 items"),
        ({"secrets": ["s3cret"]}, "secrets", "must be whsec_ and the base64 of 24 to 64 bytes"),
        ({"secrets": ["whsec_s3cret!"]}, "secrets", "must be whsec_ and base64"),
        ({"secrets": [SECRET, "env:NOT_SET"]}, "secrets", "NOT_SET is not set"),
        ({"timeout_s": 0}, "timeout_s", "greater than 0"),
        ({"failures_to_pause": 0}, "failures_to_pause", "greater than or equal to 1"),
        ({"longest_pause_s": 241}, "longest_pause_s", "less than or equal to 240"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(
    fields: dict[str, object], setting: str, said: str, problem: Callable[[str], str]
) -> None:
    text = problem(section(**fields))

    assert text.startswith(f"endpoints.crm.{setting}")
    assert said in text
    assert "s3cret" not in text
    assert SECRET not in text
    assert "me@" not in text


@pytest.mark.parametrize("name", ["CRM", "-crm", "x" * 57, "'c r m'"])
def test_an_endpoint_has_a_name_that_a_queue_can_have(
    name: str, problem: Callable[[str], str]
) -> None:
    assert "is no name: up to 56 of a-z, 0-9, _ and -" in problem(section(name))


def test_there_is_an_endpoint(problem: Callable[[str], str]) -> None:
    assert problem("") == "endpoints is missing."
    assert "at least 1 item" in problem("[consumers.forward.endpoints]")


def test_a_request_ends_before_its_handler_is_ended(
    read: Callable[[str], ForwardSettings], problem: Callable[[str], str]
) -> None:
    more = "[consumers.forward]\nhandler_timeout_s = 20"

    assert read(section(more=more, timeout_s=15)).endpoints

    assert problem(section(more=more, timeout_s=16)) == (
        "endpoints: the timeout_s of crm must be at least 5 s less than handler_timeout_s."
    )


def test_neither_address_nor_secret_is_in_what_is_printed(
    read: Callable[[str], ForwardSettings],
) -> None:
    text = repr(read(section(url="https://crm.example.com/token")))

    assert "token" not in text
    assert SECRET not in text


async def test_each_endpoint_is_a_consumer_of_its_own(
    read: Callable[[str], ForwardSettings],
) -> None:
    settings = read(section("crm") + section("bi", bindings=["#"]))

    async with opened(settings, CollectorRegistry()) as consumers:
        assert {consumer.name: consumer.bindings for consumer in consumers} == {
            "forward-crm": ("*.message.#",),
            "forward-bi": ("#",),
        }
