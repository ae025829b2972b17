"""What is wrong with the settings of a sender is said at start: by name, and all at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay import vendors
from relay.configured import sources_of
from relay.errors import SettingsError
from relay.ingress.processing import Source
from relay.settings import load
from relay.vendors.generic.presets import PRESETS
from tests.support.rows import for_each, for_each_row
from tests.support.senders import SENDERS


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


Load = Callable[..., Source]


@pytest.fixture
def load_source(tmp_path: Path) -> Load:
    """Return the source `acme` of a settings file with these settings."""

    def load_source(**fields: Any) -> Source:
        fields = {"vendor": "generic", "secrets": ["s3cret"]} | fields
        lines = [f"{name} = {toml(value)}" for name, value in fields.items() if value is not None]
        path = tmp_path / "relay.toml"
        path.write_text("\n".join(["[sources.acme]", *lines]))
        return sources_of(load(path))["acme"]

    return load_source


HMAC = {"kind": "hmac", "header": "x-signature"}
TIMED = {**HMAC, "signed": "{timestamp}.{body}"}
KINDS = "hmac, digest, token, standard-webhooks, twilio, public_key"
FIELDS = "{body}, {timestamp}, {id}, {method}, {url}, {header:NAME}"
URL = "the URL that is entered at the sender, which signs it"
UNSIGNED = "signed has no {timestamp}, so"


@for_each_row(
    ("fields", "problem"),
    [
        ({}, "verify: it is missing; say how the sender proves who it is, or set preset."),
        ({"verify": {"header": "x"}}, f"verify.kind: it is missing; it is one of {KINDS}."),
        ({"verify": {"kind": "md5"}}, f"verify.kind: 'md5' is none of {KINDS}."),
        ({"verify": {"kind": "hmac"}},
         "verify.header: it is missing; set it to the header that holds the signature."),
        ({"verify": HMAC | {"header": "a b"}}, "verify.header: 'a b' is no name of a header."),
        ({"verify": HMAC | {"algorithm": "md5"}},
         "verify.algorithm: 'md5' is none of sha256, sha1, sha512."),
        ({"verify": HMAC | {"encoding": "base32"}},
         "verify.encoding: 'base32' is none of hex, base64."),
        ({"verify": HMAC | {"key": "ascii"}},
         "verify.key: 'ascii' is none of utf8, base64, hex, whsec."),
        ({"verify": HMAC | {"signed": "v0"}}, "verify.signed: {body} must be in it."),
        ({"verify": HMAC | {"signed": "{body}{nonce}"}},
         f"verify.signed: {{nonce}} is none of {FIELDS}."),
        ({"verify": HMAC | {"signed": "{body}{header:}"}},
         f"verify.signed: {{header:}} is none of {FIELDS}."),
        ({"verify": HMAC | {"signed": "{body}}"}},
         "verify.signed: a brace in it belongs to no field."),
        ({"verify": HMAC | {"value": "v1="}},
         "verify.value: {signature} must be in it once, and nothing else in braces."),
        ({"verify": TIMED},
         "verify.signed: timestamp_field or timestamp_header must say where {timestamp} is."),
        ({"verify": TIMED | {"timestamp_field": "t"}},
         "verify.timestamp_field: the header has no parts; set separator, too."),
        ({"verify": TIMED | {"timestamp_field": "t", "separator": ",", "timestamp_header": "x"}},
         "verify.timestamp_field: timestamp_header says another place; remove one of them."),
        ({"verify": HMAC | {"tolerance_s": 300}},
         f"verify.tolerance_s: {UNSIGNED} anyone can change that; remove it."),
        ({"verify": HMAC | {"timestamp_header": "x-time"}},
         f"verify.timestamp_header: {UNSIGNED} it proves nothing; remove it."),
        ({"verify": TIMED | {"timestamp_header": "x", "timestamp": "iso"}},
         "verify.timestamp: 'iso' is none of unix, unix_ms, rfc3339."),
        ({"verify": TIMED | {"timestamp_header": "x", "tolerance_s": -1}},
         "verify.tolerance_s: it must be a whole number from 0 to 86400."),
        ({"verify": TIMED | {"timestamp_header": "x", "tolerance_s": 1.5}},
         "verify.tolerance_s: it must be a whole number from 0 to 86400."),
        ({"verify": HMAC | {"signed": "{id}{body}"}},
         "verify.signed: id_header must say where {id} is."),
        ({"verify": HMAC | {"id_header": "x-id"}},
         "verify.id_header: signed has no {id}, so it proves nothing; remove it."),
        ({"verify": HMAC | {"signed": "{url}{body}"}},
         f"verify.public_url: it is missing; set it to {URL}."),
        ({"verify": HMAC | {"signed": "{url}{body}", "public_url": "hooks.example.com"}},
         "verify.public_url: it must be like https://hooks.example.com/in/name."),
        ({"verify": HMAC | {"public_url": "https://a.example"}},
         "verify.public_url: signed has no {url}, so nothing needs it; remove it."),
        ({"verify": HMAC | {"secret": "x"}},
         "verify.secret: it is no setting here; remove it."),
        ({"verify": HMAC | {"header": ""}}, "verify.header: it must be text, and not empty."),
        ({"verify": {"kind": "token"}},
         "verify.kind: a token has a place; set header, query, path, body, bearer or basic."),
        ({"verify": {"kind": "token", "path": 1}}, "verify.path: it must be true or false."),
        ({"verify": {"kind": "token", "body": "key"}},
         "verify.body: 'key' is no JSON pointer, such as /data/id."),
        ({"verify": {"kind": "token", "query": "a", "username": "b"}},
         "verify.username: it is for basic = true alone; remove it."),
        ({"verify": {"kind": "token", "query": "a", "value": "b{token}"}},
         "verify.value: it is for header alone; remove it."),
        ({"verify": {"kind": "twilio"}},
         f"verify.public_url: it is missing; set it to {URL}."),
        ({"verify": {"kind": "standard-webhooks"}, "secrets": ["!"]},
         "secrets: one is not base64."),
        ({"verify": HMAC | {"key": "hex"}}, "secrets: one is not hexadecimal."),
        ({"verify": HMAC | {"key": "base64"}, "secrets": ["AP8Q", "\u00e9"]},
         "secrets: one is not base64."),
        ({"preset": "discord"}, "secrets: one is no public key for ed25519."),
        ({"preset": "nope"}, f"preset: 'nope' is none of {', '.join(sorted(PRESETS))}."),
        ({"vendor": "slack", "preset": "zoom"},
         'preset: vendor = "slack" names another one; remove it.'),
        ({"vendor": "swiftsell", "preset": "zoom"}, "preset: swiftsell takes no such setting."),
        ({"vendor": "acquire", "event": {"id": "/a"}}, "event: acquire takes no such setting."),
        ({"preset": "slack", "challenge": {"token": "x"}},
         "challenge.token: it is for meta, graph, dropbox, asana alone; remove it."),
        ({"preset": "slack", "challenge": {"kind": "okta"}},
         'challenge.kind: okta needs verify.kind = "token".'),
        ({"verify": {"kind": "token", "query": "a"}, "challenge": {"kind": "crc"}},
         'challenge.kind: crc needs verify.kind = "hmac".'),
        ({"preset": "meta", "challenge": {"token": "env:NOT_SET_ANYWHERE"}},
         "challenge.token: the environment variable NOT_SET_ANYWHERE is not set."),
        ({"verify": HMAC, "event": {"type": "header:X-Kind"}},
         "event.type: nothing signs the header x-kind, so anyone can change it."),
        ({"preset": "github", "event": {"id": "header:X-GitHub-Delivery"}},
         "event.id: nothing signs the header x-github-delivery, so anyone can change it."),
        ({"preset": "twilio", "verify": {"public_url": "https://a.example"},
          "event": {"conversation": "header:x-chat"}},
         "event.conversation: nothing signs the header x-chat, so anyone can change it."),
        ({"verify": HMAC, "event": {"type": "type"}},
         "event.type: 'type' is no JSON pointer, such as /data/id."),
        ({"verify": HMAC, "event": {"type": []}},
         "event.type: it must be text, or a list of texts."),
        ({"verify": HMAC, "event": {"kind": "/a"}},
         "event.kind: it is no setting here; remove it."),
        ({"verify": "hmac"}, "verify: it must be a table, such as {kind = ...}."),
    ],
)  # fmt: skip
def test_a_problem_is_one_sentence(load_source: Load, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_source(**fields)

    problems = caught.value.problems
    assert problems[0] == f"sources.acme.{problem}"
    assert len(problems) == 1 or fields.get("verify") == "hmac"
    assert "s3cret" not in str(problems)


def test_all_problems_are_said_at_once(load_source: Load) -> None:
    verify = HMAC | {"signed": "{x}", "tolerance_s": 3, "key": "hex", "colour": "red"}

    with pytest.raises(SettingsError) as caught:
        load_source(verify=verify, challenge={"kind": "x"}, event={"id": "y"}, colour="red")

    names = [problem.partition(":")[0].split(" ")[0] for problem in caught.value.problems]
    assert sorted(names) == sorted([
        "sources.acme.verify.signed", "sources.acme.verify.tolerance_s", "sources.acme.secrets",
        "sources.acme.verify.colour", "sources.acme.challenge.kind", "sources.acme.event.id",
        "sources.acme.colour",
    ])  # fmt: skip


def test_the_environment_may_say_what_a_file_may(
    load_source: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_SOURCES__ACME__VERIFY__TOLERANCE_S", "60")
    monkeypatch.setenv("RELAY_SOURCES__ACME__VERIFY__KIND", "hmac")
    monkeypatch.setenv("RELAY_SOURCES__ACME__VERIFY__HEADER", "X-Signature")
    monkeypatch.setenv("RELAY_SOURCES__ACME__VERIFY__SIGNED", "{timestamp}{body}")
    monkeypatch.setenv("RELAY_SOURCES__ACME__VERIFY__TIMESTAMP_HEADER", "X-Time")
    monkeypatch.setenv("RELAY_SOURCES__ACME__EVENT__TYPE", "/type")
    direct = TIMED | {"signed": "{timestamp}{body}", "timestamp_header": "x-time"}

    found = load_source().vendor

    wanted = vendors.configure(
        "generic", {"verify": direct | {"tolerance_s": 60}, "event": {"type": "/type"}}, ["s3cret"]
    )
    assert found == wanted[1]


def test_a_token_of_a_challenge_may_be_in_the_environment_or_a_file(
    load_source: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VERIFY_TOKEN", "one")
    (tmp_path / "token").write_text("two\n")
    tokens = ["env:VERIFY_TOKEN", f"file:{tmp_path / 'token'}", "three"]

    source = load_source(preset="meta", challenge={"token": tokens})

    assert source.vendor.challenge.tokens == ("one", "two", "three")


def test_a_sender_may_be_insecure_and_then_needs_no_rule(load_source: Load) -> None:
    source = load_source(secrets=None, insecure=True, event={"type": "/type"})

    assert source.vendor.rule is None


def test_another_kind_of_proof_replaces_that_of_a_preset(load_source: Load) -> None:
    source = load_source(preset="github", verify={"kind": "token", "header": "x-token"})

    assert source.vendor.rule.header == "x-token"
    assert source.origin.vendor == "github"


@for_each(name=PRESETS)
def test_every_preset_needs_nothing_but_secrets_unless_its_url_is_signed(
    name: str, load_source: Load
) -> None:
    sender = SENDERS[name]

    source = load_source(vendor=name, secrets=list(sender.secrets), **sender.options)

    assert source.origin.vendor == name
    assert source.origin.path == f"/{name}/acme"
