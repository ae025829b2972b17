"""Senders known by settings alone, whatever bytes come: who proves nothing is told nothing.

Pure, as what it checks is.
"""

from relay import vendors
from relay.errors import MethodNotAllowed, Unauthenticated
from relay.events.message import Origin
from relay.ingress import http_response
from relay.ingress.processing import Source, process_delivery
from relay.vendors.generic.presets import PRESETS
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import OutgoingRequest
from tests.fuzz import delivered

_KEYS = ("whsec_AP8QAP8QAP8Q", "AP8QAP8QAP8R")
_URL = {"public_url": "https://hooks.example.com/in/acme"}
_METHODS = ("POST", "GET", "HEAD", "OPTIONS")
_UNPROVEN = {"graph", "dropbox", "asana", "crc"}
"""Challenges of senders that can't prove who they are."""


def _source(vendor: str, **options: object) -> Source:
    word, sender = vendors.configure(vendor, options, _KEYS)
    return Source(origin=Origin(vendor=word, source="acme"), vendor=sender, secrets=Secrets(_KEYS))


def _sources() -> list[Source]:
    signs_url = [
        name
        for name, preset in PRESETS.items()
        if preset.verify["kind"] == "twilio" or "{url}" in preset.verify.get("signed", "")
    ]
    for_url = {name: {"verify": _URL} for name in signs_url}
    no_keys = {"generic", "discord", "freshchat"}
    presets = [name for name in vendors.configurable() if name not in no_keys]
    found = [_source("generic", preset=name, **for_url.get(name, {})) for name in presets]
    token = {"kind": "token", "basic": True, "header": "x-a", "query": "a", "path": True}
    found.append(_source("generic", verify=token, challenge="okta"))
    return found + [
        _source("generic", verify=token, challenge={"kind": kind, "token": "t"})
        for kind in ("dropbox", "asana")
    ]


SOURCES = _sources()


def check_questions(data: bytes) -> None:
    """Nobody is let in without a secret, nothing but our errors is raised, and all answers fit."""
    request = delivered.read(data)
    for source in SOURCES:
        for method in _METHODS:
            sent = request._replace(method=method, received_at=1_700_000_000.0)
            try:
                found = process_delivery(sent, source, 1_700_000_000.0, "d1")
            except (Unauthenticated, MethodNotAllowed):
                continue
            kind = source.vendor.challenge.kind
            assert found.answer, "let in without a secret"
            assert kind in _UNPROVEN, "answered without a secret"
            response = http_response.accepted_response(found, "json")
            head = http_response.encode(response, 0).partition(b"\r\n\r\n")[0]
            assert len(found.answer.body) <= 1024
            assert b"\nX-Injected" not in head


def check_signed(data: bytes) -> None:
    """Whatever a sender signs is let in, and is an event, a test call, a question or kept."""
    body = delivered.read(data).body
    for source in SOURCES:
        delivery = vendors.sign(source.vendor, body, _KEYS[0], 1_700_000_000.0)
        request = delivered.read(delivered.written(delivery))
        if request.body != delivery.body or source.vendor.rule is None:
            continue
        sent = request._replace(received_at=1_700_000_001.0)
        try:
            found = process_delivery(sent, source, 1_700_000_001.0, "d1")
        except Unauthenticated:
            is_token = _has_token_in_body(source) or source.vendor.challenge.kind == "crc"
            assert is_token or _may_be_extended(source, body)
            continue
        assert len(found.messages) <= 1


def _has_token_in_body(source: Source) -> bool:
    return getattr(source.vendor.rule, "body", None) is not None


def _may_be_extended(source: Source, body: bytes) -> bool:
    """Return whether a digest under which it stands proves nothing; see signatures.py."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return getattr(source.vendor.rule, "is_digest", False)
    return False


def seeds() -> list[bytes]:
    """Return requests of all senders, and what they ask."""
    found = []
    for source in SOURCES:
        for now in (1_700_000_000.0, 0.0):
            wrong = vendors.sign(source.vendor, b'{"type":"a","id":1}', "AP8QAP8QAP8S", now)
            found.append(delivered.written(wrong))
        asked = vendors.handshake(source.vendor, "AP8QAP8QAP8S", 1_700_000_000.0)
        if isinstance(asked, OutgoingRequest):
            found.append(delivered.written(asked))
    return found
