"""Senders' own libraries against the recipes: what they sign is let in, and what the relay signs.

No line of them is ours, nor of our reading of the documentation. What was changed on the way is
refused by both sides.
"""

import hashlib
import json
import re
import time
import tomllib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from yarl import URL

from relay import vendors
from relay.configured import sources_of
from relay.errors import Unauthenticated
from relay.ingress.processing import Source
from relay.settings import load
from relay.vendors.generic.presets import PRESETS
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.conftest import SAMPLES
from tests.interop.senders import CHECKS, SIGNS, WITHOUT_LIBRARY, Delivery, Libraries
from tests.support.generic_sources import let_in, refused
from tests.support.relay_process import NOWHERE, RelayProcess
from tests.support.senders import ed25519_keys, pem, raw_hex, rsa_keys

RECIPES = {
    str(section.get("preset", section["vendor"])): (name, section, text)
    for text in re.findall(
        r"(?s)```toml\n(.*?)```", Path("relay/vendors/generic/RECIPES.md").read_text()
    )
    for name, section in tomllib.loads(text)["sources"].items()
}
JSON = ('{"id":"evt_7","type":"order.paid"}', '{"text":"caf\\u00e9 \\ud83d\\ude00","n":[1,null]}')
AS_JAVASCRIPT = '{"text":"Z\u00fcrich \U0001f600 <a href=\'/\'>","n":[1,2.5,null,true]}'
NOT_ASCII = '{"text":"Z\u00fcrich \U0001f600","a" : [ 1.50 ]}\n'
FORMS = ("EventType=onMessageAdded&Body=Hi+there&Body=Again&Empty=&A%C3%A9=%26", "Body=x")
QUERY = "a=1&b=%20c"
URL_IS_SIGNED = {"hubspot", "hubspot-v2", "twilio"}
READS_JSON = {"crisp"}  # its library signs the value that it read, as JavaScript writes it
READS_ASCII = {"meta"}  # its library escapes what is not, as Meta does before it sends
PROVES_NO_BODY = {"telegram"}
EXPIRES = {"hubspot", "mux", "paddle", "slack", "standard-webhooks", "stripe", "svix"}
_MOMENT = re.compile(r"(?<![0-9A-Za-z])\d{10,13}(?![0-9A-Za-z])")
_EARLY_S = 60.0  # the library of Paddle takes nothing that is older than 5 s

SourceOf = Callable[..., Source]


class Secret(NamedTuple):
    """A secret as the sender signs with it, and as the relay and whoever checks have it."""

    private: str
    public: str


@lru_cache
def secrets_of(preset: str) -> tuple[Secret, Secret]:
    """Return two."""
    if preset == "discord":
        first, second = [
            Secret(key.private_bytes_raw().hex(), raw_hex(key)) for key in ed25519_keys()
        ]
    elif preset == "freshchat":
        form = (
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        first, second = [Secret(key.private_bytes(*form).decode(), pem(key)) for key in rsa_keys()]
    elif preset in {"standard-webhooks", "svix"}:
        first, second = [
            Secret(text, text) for text in (f"whsec_{'YWJj' * 8}", f"whsec_{'/+8Q' * 8}")
        ]
    else:
        first, second = [Secret(text, text) for text in ("0ld-s3cret_1", "n3w-s3cret_2")]
    return first, second


@pytest.fixture(scope="module")
def libraries() -> Iterator[Libraries]:
    """The processes; a test is skipped where what it needs is not installed."""
    started = Libraries()
    yield started
    started.close()


@pytest.fixture
def source_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceOf:
    """Make a source of a recipe, copied as it stands but for a second name in `secrets`."""

    def make(preset: str, *secrets: Secret) -> Source:
        name, _, text = RECIPES[preset]
        [variable] = re.findall(r'secrets = \["env:(\w+)"\]', text)
        for other in re.findall(r"env:(\w+)", text):
            monkeypatch.setenv(other, "v3rify")
        names = [f"{variable}_{number}" for number in range(len(secrets))]
        for one, secret in zip(names, secrets, strict=True):
            monkeypatch.setenv(one, secret.public)
        path = tmp_path / "relay.toml"
        listed = json.dumps([f"env:{one}" for one in names])
        path.write_text(text.replace(f'["env:{variable}"]', listed))
        return sources_of(load(path))[name]

    return make


def url_of(preset: str, body: str = "") -> str:
    """Return the URL as the sender has it, with a query of its own where that is signed."""
    entered = str(RECIPES[preset][1].get("verify", {}).get("public_url", "https://HOST/in/acme"))
    if preset == "twilio" and body.startswith("{"):
        return f"{entered}?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    return f"{entered}?{QUERY}" if preset in URL_IS_SIGNED else entered


def bodies_of(preset: str) -> tuple[str, ...]:
    if preset == "twilio":
        return (*FORMS, *JSON)
    if preset in READS_JSON:
        return (JSON[0], AS_JAVASCRIPT)
    return JSON if preset in READS_ASCII else (*JSON, AS_JAVASCRIPT, NOT_ASCII)


def received(delivery: Delivery, now: float | None = None) -> Request:
    kind = "application/json" if delivery.body.startswith("{") else None
    headers = {"content-type": kind or "application/x-www-form-urlencoded", **delivery.headers}
    return Request(
        body=delivery.body.encode(),
        headers=headers,
        query_string=urlsplit(delivery.url).query,
        method=delivery.method,
        received_at=time.time() if now is None else now,
    )


def signed_by_relay(source: Source, preset: str, body: str, secret: str) -> Delivery:
    ours = vendors.sign(source.vendor, body.encode(), secret, time.time() + _EARLY_S)
    query = f"?{urlencode(ours.query)}" if ours.query else ""
    url = url_of(preset).partition("?")[0] + query
    headers = {name.lower(): value for name, value in ours.headers.items()}
    return Delivery(preset, secret, body, headers=headers, url=url)


def signed(libraries: Libraries, source: Source, body: str, secret: Secret) -> Delivery:
    """Return what the library signs, or where it only checks, what the relay does."""
    preset = source.origin.vendor
    if language := SIGNS.get(preset):
        delivery = Delivery(preset, secret.private, body, url=url_of(preset, body))
        return libraries(language).sign(delivery)._replace(secret=secret.public)
    return signed_by_relay(source, preset, body, secret.public)


def test_each_preset_meets_a_library_or_it_is_said_why_not() -> None:
    assert SIGNS.keys() | CHECKS.keys() == PRESETS.keys() - WITHOUT_LIBRARY.keys()
    assert WITHOUT_LIBRARY.keys() <= PRESETS.keys()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("preset", SIGNS)
def test_what_a_library_signs_is_let_in_under_each_live_secret(
    preset: str, number: int, libraries: Libraries, source_of: SourceOf
) -> None:
    secrets = secrets_of(preset)
    both, other = source_of(preset, *secrets), source_of(preset, secrets[1 - number])

    for body in bodies_of(preset):
        request = received(signed(libraries, both, body, secrets[number]))

        assert let_in(both, request)
        assert refused(other, request) == "signature_wrong"
        (event,) = vendors.normalize(both.vendor, request)
        assert (both.origin.vendor, event.type) == (preset, "received")


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("preset", [name for name in CHECKS if name != "discord"])
def test_a_library_takes_what_the_relay_signs(
    preset: str, number: int, libraries: Libraries, source_of: SourceOf
) -> None:
    secrets = secrets_of(preset)
    source, library = source_of(preset, *secrets), libraries(CHECKS[preset])

    for body in bodies_of(preset):
        delivery = signed_by_relay(source, preset, body, secrets[number].public)

        assert library.accepts(delivery)
        assert not library.accepts(delivery._replace(secret=secrets[1 - number].public))
        assert let_in(source, received(delivery))


def changed(text: str, at: int) -> str:
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def tampered(delivery: Delivery) -> Iterator[Delivery]:
    """Yield it with one thing changed: the body, the time, the id or the URL."""
    preset, body = delivery.sender, delivery.body
    if preset not in PROVES_NO_BODY:
        last = len(body) - 1
        others = [changed(body, at) for at in (0, 2, last // 2, last)]
        for other in (*others, f"{body}x", f"x{body}", body[:-1].rstrip(), "", "{}"):
            yield delivery._replace(body=other)
    for name, value in delivery.headers.items():
        if found := _MOMENT.search(value):
            moment = changed(value, found.end() - 4)
            yield delivery._replace(headers={**delivery.headers, name: moment})
        if name.endswith("-id"):
            yield delivery._replace(headers={**delivery.headers, name: f"{value}0"})
    if preset in URL_IS_SIGNED:
        for url in (f"{delivery.url}0", delivery.url.replace("?", "?z=1&"), f"{delivery.url}&a=1"):
            yield delivery._replace(url=url)


def with_another_signature(delivery: Delivery) -> Iterator[Delivery]:
    verify = PRESETS[delivery.sender].verify
    prefix = verify.get("prefix", "webhook" if verify["kind"] != "twilio" else "x-twilio")
    header = verify.get("header", f"{prefix}-signature")
    value = delivery.headers[header]
    rest = {name: value for name, value in delivery.headers.items() if name != header}
    yield delivery._replace(headers=rest)
    at = [changed(value, place) for place in (0, len(value) // 2, len(value) - 3)]
    for other in (*at, "", value[:-1], f"{value}0", value[::-1]):
        yield delivery._replace(headers={**rest, header: other})


@pytest.mark.parametrize("preset", SIGNS | CHECKS)
def test_what_was_changed_on_the_way_is_refused_by_relay_and_library(
    preset: str, libraries: Libraries, source_of: SourceOf
) -> None:
    secrets = secrets_of(preset)
    source = source_of(preset, *secrets)
    library = libraries(CHECKS[preset]) if preset in CHECKS else None

    for body in bodies_of(preset):
        right = signed(libraries, source, body, secrets[1])
        assert let_in(source, received(right))
        assert library is None or library.accepts(right)

        for wrong in tampered(right):
            refused(source, received(wrong))
            assert library is None or not library.accepts(wrong)
        for wrong in with_another_signature(right):
            refused(source, received(wrong))


@pytest.mark.parametrize("preset", SIGNS | CHECKS)
def test_an_old_delivery_is_refused_where_its_library_would(
    preset: str, libraries: Libraries, source_of: SourceOf
) -> None:
    secrets = secrets_of(preset)
    source = source_of(preset, *secrets)
    delivery = signed(libraries, source, bodies_of(preset)[0], secrets[0])

    if preset in EXPIRES:
        assert refused(source, received(delivery, now=time.time() + 400)) == "too_old"
        assert refused(source, received(delivery, now=time.time() - 400)) == "too_new"
    else:
        assert let_in(source, received(delivery, now=time.time() + 1e7))


async def test_the_relay_takes_over_http_what_the_libraries_sign_and_nothing_else(
    tmp_path: Path, libraries: Libraries, source_of: SourceOf
) -> None:
    deliveries, sections = {}, {}
    for preset in SIGNS:
        secrets = secrets_of(preset)
        source, (name, section, _) = source_of(preset, *secrets), RECIPES[preset]
        deliveries[name] = [
            signed(libraries, source, bodies_of(preset)[0], secret) for secret in secrets
        ]
        public = [secret.public for secret in secrets]
        tables = {key: value for key, value in section.items() if isinstance(value, dict)}
        plain = {key: value for key, value in section.items() if key not in tables}
        sections[f"sources.{name}"] = {**plain, "secrets": public}
        tables.pop("challenge", None)
        sections |= {f"sources.{name}.{key}": value for key, value in tables.items()}

    statuses: dict[str, list[int]] = {}
    async with (
        RelayProcess(tmp_path, broker_url=NOWHERE, vendors=(), **sections) as relay,
        aiohttp.ClientSession() as client,
    ):
        for name, signed_ones in deliveries.items():
            wrong = [next(tampered(delivery)) for delivery in signed_ones]
            for delivery in (*signed_ones, *wrong):
                url = URL(f"{relay.url}/in/{name}?{urlsplit(delivery.url).query}", encoded=True)
                kind = received(delivery).headers["content-type"]
                headers = {**delivery.headers, "content-type": kind}
                body = delivery.body.encode()
                async with client.post(url, data=body, headers=headers) as answer:
                    statuses.setdefault(name, []).append(answer.status)

    assert statuses == {name: [200, 200, 401, 401] for name in deliveries}


@pytest.mark.parametrize("vendor", ["crisp", "line", "meta", "telegram"])
def test_a_chat_platform_and_its_library_agree_on_every_sample(
    vendor: str, libraries: Libraries
) -> None:
    module, library = vendors.discover()[vendor], libraries(CHECKS[vendor])
    first, second = [secret.public for secret in secrets_of(vendor)]
    samples = [
        path for path in SAMPLES.glob(f"{vendor}/*.json") if ".expected" not in path.suffixes
    ]
    assert samples

    for path in samples:
        read = json.loads(path.read_bytes())
        body = json.dumps(read, separators=(",", ":"), ensure_ascii=vendor != "crisp")
        ours = vendors.sign(module, body.encode(), second, time.time())
        headers = {name.lower(): value for name, value in ours.headers.items()}
        delivery = Delivery(vendor, second, ours.body.decode(), headers=headers)
        if vendor in SIGNS:
            theirs = Delivery(vendor, second, body)
            assert libraries(SIGNS[vendor]).sign(theirs).headers.items() <= headers.items()

        assert library.accepts(delivery)
        assert module.authenticate(received(delivery), Secrets([first, second])) is None
        for wrong in tampered(delivery):
            assert not library.accepts(wrong)
            with pytest.raises(Unauthenticated):
                module.authenticate(received(wrong), Secrets([first, second]))
