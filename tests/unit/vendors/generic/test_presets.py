"""Every preset: what its sender sends is let in, and nothing else."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook

from relay import vendors
from relay.errors import Unauthenticated
from relay.ingress.processing import Source
from relay.vendors.generic.presets import PRESETS
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.generic_sources import changed, generic_source, refused
from tests.support.rows import for_each, for_each_row
from tests.support.senders import NOW, SENDERS, Sender

PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text())
SIGNED = [name for name, sender in SENDERS.items() if sender.signature]
every_preset = for_each(name=PRESETS)


def source_of(name: str, *secrets: str) -> Source:
    sender = SENDERS[name]
    return generic_source(*(secrets or sender.secrets), vendor=name, **sender.options)


def authenticate(source: Source, request: Request) -> None:
    assert source.vendor.authenticate(request, source.secrets) is None


def with_header(request: Request, name: str, value: str) -> Request:
    return request._replace(headers={**request.headers, name: value})


def test_there_are_presets_for_31_senders_and_each_is_tried() -> None:
    assert set(PRESETS) == set(SENDERS)
    assert len([name for name in PRESETS if not name.startswith("hubspot-")]) == 31


@every_preset
def test_a_preset_says_where_its_rules_are_documented(name: str) -> None:
    parts = urlsplit(PRESETS[name].source)

    assert parts.scheme == "https"
    assert parts.hostname


@for_each(name=PRESETS, number=[0, 1])
def test_what_a_sender_sends_is_let_in_under_each_live_secret(name: str, number: int) -> None:
    request = SENDERS[name].request(number)

    authenticate(source_of(name), request)
    if SENDERS[name].signature:
        authenticate(source_of(name, SENDERS[name].secrets[number]), request)
        assert refused(source_of(name, SENDERS[name].secrets[1 - number]), request) in {
            "signature_wrong",
            "token_wrong",
        }


@every_preset
def test_a_preset_gives_one_event_of_its_name(name: str) -> None:
    source, request = source_of(name), SENDERS[name].request()

    (event,) = vendors.normalize(source.vendor, request)

    assert source.origin.vendor == name
    assert event.type == "received"


@for_each(name=sorted(PRESETS.keys() - vendors.discover().keys()))
def test_a_preset_may_be_named_as_vendor_or_as_preset(name: str) -> None:
    sender = SENDERS[name]

    named = source_of(name)
    preset = generic_source(*sender.secrets, preset=name, **sender.options)

    assert named.vendor == preset.vendor
    assert named.origin == preset.origin


@for_each(name=SIGNED)
def test_a_request_without_its_signature_is_refused(name: str) -> None:
    request = SENDERS[name].request()
    headers = {
        key: value for key, value in request.headers.items() if key != SENDERS[name].signature
    }

    reason = refused(source_of(name), request._replace(headers=headers))

    assert reason in {"signature_missing", "token_missing"}


@for_each(name=[name for name in SIGNED if PRESETS[name].verify["kind"] != "token"])
def test_every_change_of_a_body_is_refused(name: str) -> None:
    source, request = source_of(name), SENDERS[name].request()

    for body in changed(request.body):
        reason = refused(source, request._replace(body=body))
        assert reason in {"signature_wrong", "signature_malformed"}


@for_each(name=SIGNED)
def test_every_change_of_a_signature_is_refused(name: str) -> None:
    source, request = source_of(name), SENDERS[name].request()
    header = SENDERS[name].signature

    for value in changed(request.headers[header].encode()):
        refused(source, with_header(request, header, value.decode("latin-1")))


@for_each(name=[name for name in SIGNED if SENDERS[name].timestamp])
def test_every_change_of_a_time_is_refused(name: str) -> None:
    source, request = source_of(name), SENDERS[name].request()
    header = SENDERS[name].timestamp

    for value in changed(request.headers[header].encode()):
        reason = refused(source, with_header(request, header, value.decode("latin-1")))
        assert reason in {"signature_wrong", "timestamp_malformed"}
    without = {key: value for key, value in request.headers.items() if key != header}
    assert refused(source, request._replace(headers=without)) == "timestamp_missing"


@for_each_row(
    ("name", "age_s"), [(name, sender.age_s) for name, sender in SENDERS.items() if sender.age_s]
)
def test_an_old_request_is_refused_and_so_is_one_of_the_future(name: str, age_s: int) -> None:
    source, request = source_of(name), SENDERS[name].request()

    for seconds in (-age_s + 2, 0, age_s - 2):
        authenticate(source, request._replace(received_at=float(NOW + seconds)))
    assert refused(source, request._replace(received_at=NOW + age_s + 2.0)) == "too_old"
    assert refused(source, request._replace(received_at=NOW - age_s - 2.0)) == "too_new"


@for_each(name=[name for name, sender in SENDERS.items() if not sender.age_s and sender.signature])
def test_where_a_sender_says_nothing_of_age_nothing_is_refused_for_it(name: str) -> None:
    request = SENDERS[name].request()

    authenticate(source_of(name), request._replace(received_at=NOW + 1e8))


@for_each(name=[name for name in PRESETS if PRESETS[name].verify["kind"] != "public_key"])
def test_what_the_relay_sends_is_let_in(name: str) -> None:
    source, sender = source_of(name), SENDERS[name]

    delivery = vendors.sign(source.vendor, sender.body, sender.secrets[1], NOW)

    request = delivery.as_received(NOW + 1.0)
    if sender.query:  # the URL that is entered has a query of its own
        source = generic_source(
            *sender.secrets, vendor=name, verify={"public_url": "https://hooks.example.com/in/acme"}
        )
        delivery = vendors.sign(source.vendor, sender.body, sender.secrets[1], NOW)
        request = delivery.as_received(NOW + 1.0)
    authenticate(source, request)
    with pytest.raises(Unauthenticated):
        source.vendor.authenticate(request, Secrets(["whsec_" + "YWJj" * 8]))


@pytest.mark.parametrize("name", ["discord", "freshchat"])
def test_nobody_but_the_sender_signs_with_its_private_key(name: str) -> None:
    source, sender = source_of(name), SENDERS[name]

    with pytest.raises(ValueError, match="private key"):
        vendors.sign(source.vendor, sender.body, sender.secrets[0], NOW)


def published_source(vector: dict[str, Any]) -> Source:
    url = vector.get("url")
    options = {"verify": {"public_url": url}} if url else {}
    return generic_source("another", vector["secret"], vendor=vector["preset"], **options)


def published_request(vector: dict[str, Any]) -> Request:
    query = urlsplit(vector.get("url", "")).query
    return Request(
        body=vector["body"].encode(),
        headers=vector["headers"],
        query_string=query,
        method=vector.get("method", "POST"),
    )


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param(vector, id=f"{number}-{vector['preset']}")
        for number, vector in enumerate(PUBLISHED)
        if not vector["secret"].startswith("wh")
    ],
)
def test_a_published_example_is_let_in(vector: dict[str, Any]) -> None:
    source, request = published_source(vector), published_request(vector)

    authenticate(source, request)

    with pytest.raises(Unauthenticated):
        source.vendor.authenticate(request._replace(body=request.body + b" "), source.secrets)
    with pytest.raises(Unauthenticated):
        source.vendor.authenticate(request, Secrets(["another"]))


@pytest.mark.parametrize("body", ["{}", '{"type":"a.b","text":"Zürich"}', "[1, 2]"])
def test_standard_webhooks_and_its_library_accept_each_other(body: str) -> None:
    secret, sent_at = "whsec_" + "YWJj" * 8, datetime.fromtimestamp(int(time.time()), UTC)
    library, source = Webhook(secret), generic_source(secret, vendor="standard-webhooks")
    theirs = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": library.sign("msg_1", sent_at, body),
    }
    request = Request(body=body.encode(), headers=theirs, received_at=sent_at.timestamp())
    ours = source.vendor.sign(body.encode(), secret, sent_at.timestamp())

    authenticate(source, request)
    assert library.verify(ours.body, dict(ours.headers)) == json.loads(body)


@pytest.mark.parametrize("number", [0, 1])
def test_a_published_example_of_standard_webhooks_is_let_in_in_both_versions(number: int) -> None:
    vectors = [vector for vector in PUBLISHED if vector["secret"].startswith("wh")]
    request = published_request(vectors[number])
    both = generic_source(*(one["secret"] for one in vectors), vendor="standard-webhooks")
    other = generic_source(vectors[1 - number]["secret"], vendor="standard-webhooks")

    authenticate(both, request)

    assert refused(other, request) == "signature_malformed"
    changed_body = request._replace(body=request.body.replace(b"2", b"3", 1))
    assert refused(both, changed_body) in {"signature_wrong", "signature_malformed"}


def test_a_setting_beside_a_preset_overrides_it_and_nothing_else() -> None:
    sender: Sender = SENDERS["slack"]
    source = generic_source(*sender.secrets, vendor="slack", verify={"tolerance_s": 10})

    request = replace(sender).request()

    authenticate(source, request._replace(received_at=NOW + 9.0))
    assert refused(source, request._replace(received_at=NOW + 11.0)) == "too_old"
