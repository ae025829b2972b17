"""`relay schema --settings`: what editors check `relay.toml` against, in two drafts."""

import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.protocols import Validator

from relay.cli.documents.settings_schema import as_draft_4, settings_schema
from tests.support.relay_command import RelayCommand
from tests.support.rows import for_each

run = RelayCommand(Path("none.toml"))

EXAMPLE = Path("deploy/relay.example.toml").read_text()
SOURCE = '[sources.a]\nvendor = "swiftsell"\nsecrets = ["x"]\n'
GENERIC = '[sources.a]\nvendor = "generic"\nsecrets = ["x"]\n'
ENDPOINT = """[consumers.forward.endpoints.a]
url = "https://a.example"
bindings = ["#"]
secrets = ["x"]
"""

MISTAKES = {
    "a section that is none": "[ingres]\nport = 1",
    "a key that is none": "[ingress]\nprt = 1",
    "a text for a number": '[ingress]\nport = "8080"',
    "a port that is none": "[ingress]\nport = 65536",
    "zero where there must be more": "[ingress]\nread_timeout_s = 0",
    "a number below": "[broker]\nheartbeat_s = 0",
    "a number above": "[ingress]\nworkers = 65",
    "a fraction": "[broker]\nmax_in_flight = 1.5",
    "a word that is none": '[ingress]\nack_after = "disk"',
    "a level that is none": '[log]\nlevel = "trace"',
    "no broker": "[broker]\nurls = []",
    "a number for a flag": "[history]\nenabled = 1",
    "an exchange with a blank": '[broker]\nexchange = "web hooks"',
    "a network that is none": '[ingress]\ntrusted_proxies = ["everyone"]',
    "a number for a list": "[ingress]\ntrusted_proxies = 10",
    "a vendor nobody knows": '[sources.a]\nvendor = "swiftsel"',
    "a source without a vendor": '[sources.a]\nsecrets = ["x"]',
    "a key of no source": f"{SOURCE}secret = 'x'",
    "secrets that are numbers": '[sources.a]\nvendor = "swiftsell"\nsecrets = [1]',
    "a source's name in capitals": '[sources.Acme]\nvendor = "swiftsell"',
    "a source's name with a dot": '[sources."a.b"]\nvendor = "swiftsell"',
    "an echo that is none": f'{SOURCE}echo = "xml"',
    "a word of redact": f'{SOURCE}[sources.a.redact]\n"/contact/email" = "hide"',
    "a pointer of redact": f'{SOURCE}[sources.a.redact]\n"contact.email" = "mask"',
    "too long a silence": f"{SOURCE}expect_every_s = 604801",
    "a preset that is none": f'{GENERIC}preset = "strip"',
    "a kind of proof": f'{GENERIC}verify = {{kind = "hmca"}}',
    "a key of verify": f'{GENERIC}verify = {{kind = "hmac", heder = "x-sig"}}',
    "an algorithm": f'{GENERIC}verify = {{kind = "hmac", algorithm = "md5", header = "x"}}',
    "a tolerance": f'{GENERIC}verify = {{kind = "hmac", header = "x", tolerance_s = -1}}',
    "a kind of challenge": f'{GENERIC}challenge = {{kind = "facebook"}}',
    "a challenge in one word": f'{GENERIC}challenge = "facebook"',
    "a key of event": f'{GENERIC}event = {{kind = "/type"}}',
    "a place that is a number": f"{GENERIC}event = {{type = 1}}",
    "a key of a service": "[consumers.archive]\nbatch = 5",
    "a number of a service": "[consumers.archive]\nconcurrency = 2",
    "a service of one's own": "[consumers.crm]\nconcurrency = 0",
    "a port of a service": "[consumers.crm.admin]\nport = -1",
    "endpoints without one": "[consumers.forward]\nendpoints = {}",
    "an endpoint without a URL": '[consumers.forward.endpoints.a]\nbindings = ["#"]',
    "a key of an endpoint": f"{ENDPOINT}timeout = 5",
    "a rule without a text": '[consumers.notify.rules.a]\nbindings = ["#"]\nurl = "https://a"',
}


@pytest.fixture(scope="module", params=["2020-12", "4"])
def validator(request: pytest.FixtureRequest) -> Validator:
    found = asyncio.run(run("schema", "--settings", "--draft", request.param))
    assert (found.code, found.err) == (0, "")
    schema = json.loads(found.out)
    kind = {
        "2020-12": jsonschema.Draft202012Validator,
        "4": jsonschema.Draft4Validator,
    }[request.param]
    kind.check_schema(schema)
    return kind(schema)


def errors_of(validator: Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


def test_the_example_is_accepted(validator: Validator) -> None:
    assert errors_of(validator, EXAMPLE) == []


@for_each(
    text=[
        "",
        SOURCE,
        f"{GENERIC}preset = 'stripe'\nchallenge = 'none'",
        f"{GENERIC}verify = {{kind = 'token', header = 'x-token', value = 'Token {{token}}'}}",
        f"{GENERIC}event = {{type = ['/type', 'header:x-type'], id = '/a + /b'}}",
        '[ingress]\nhost = ["10.0.0.1", "fd00::1"]\ntrusted_proxies = ["10.0.0.0/8", "fd00::/8"]',
        "[ingress]\nread_timeout_s = 0.5",
        f"{ENDPOINT}allow_private = ['10.0.0.0/8']",
        f"{ENDPOINT}allow_private = true",
        "[consumers.crm]\nbinding_of_mine = 3\nprefetch = 5",
    ]
)
def test_what_the_relay_takes_is_accepted(validator: Validator, text: str) -> None:
    assert errors_of(validator, text) == []


@for_each(text=MISTAKES.values())
def test_a_mistake_is_refused(validator: Validator, text: str) -> None:
    assert errors_of(validator, text)


def keys_of(schema: Any, *, are_names: bool = False) -> set[str]:
    """Return the keywords that a schema uses."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    found: set[str] = set() if are_names else set(schema)
    for key, value in schema.items():
        if are_names or key not in {"default", "enum"}:
            names = not are_names and key in {"properties", "patternProperties", "definitions"}
            found |= keys_of(value, are_names=names)
    return found


def test_draft_4_has_only_what_draft_4_knows() -> None:
    known = set(jsonschema.Draft4Validator.META_SCHEMA["properties"]) | {"$ref"}

    assert keys_of(as_draft_4(settings_schema())) <= known


@pytest.mark.parametrize("arguments", [["--draft", "4"], ["--settings", "message.created"]])
async def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    found = await run("schema", *arguments)

    assert (found.code, found.out) == (2, "")
