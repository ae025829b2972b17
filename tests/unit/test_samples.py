"""The contract of a vendor, on every payload its documentation shows.

Vendors and samples find themselves: a new vendor needs no line here. Beside `NAME.json` lies
`NAME.expected.json`, with what consumers get, or the reason it is quarantined.
"""

import json
import sys
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from relay import vendors
from relay.cli import expectation
from relay.errors import Unauthenticated
from relay.events.event import TYPES
from relay.events.message import Origin
from relay.ingress.processing import Source
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request
from tests.support.rows import for_each

SECRET = "the-live-one"
VENDORS = vendors.discover()
SAMPLES = [(name, sample) for name in VENDORS for sample in vendors.samples(name)]
HANDSHAKING = [name for name, vendor in VENDORS.items() if vendors.handshake(vendor, SECRET)]


def check_the_sample_gives_what_is_expected(
    name: str, vendor: vendors.Vendor, sample: Traversable | Path
) -> None:
    """Do what `relay test` does."""
    source = Source(origin=Origin(vendor=name, source="acme"), vendor=vendor, secrets=Secrets([]))
    expected = expectation.read(expectation.path_of(Path(str(sample))))

    assert expectation.differences(sample.read_bytes(), expected, source) == []
    assert {event["type"] for event in expected.get("events", [])} <= TYPES


def is_body_with_secret(sent: bytes, body: bytes) -> bool:
    """Return whether nothing differs but one member, which says the secret."""
    changed, document = json.loads(sent), json.loads(body)
    names = [name for name in changed if changed[name] != document.get(name)]
    rest = {name: document[name] for name in document if name not in names}
    return [changed.pop(name) for name in names] == [SECRET] and changed == rest


def check_what_the_vendor_signs_is_let_in(vendor: vendors.Vendor, body: bytes) -> None:
    delivery = vendor.sign(body, SECRET)

    echo = vendor.authenticate(delivery.as_received(), Secrets(["the-next-one", SECRET]))

    assert delivery.body == body or is_body_with_secret(delivery.body, body)
    assert echo is None or (vendors.echoes(vendor) and echo.token == SECRET)
    with pytest.raises(Unauthenticated):
        vendor.authenticate(delivery.as_received(), Secrets(["another"]))
    with pytest.raises(Unauthenticated):
        vendor.authenticate(Request(body=body), Secrets([SECRET]))


@for_each(sample=SAMPLES)
def test_a_documented_payload_gives_the_event_beside_it(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    check_the_sample_gives_what_is_expected(name, VENDORS[name], file)


@for_each(sample=SAMPLES)
def test_a_documented_payload_is_let_in_when_signed(sample: tuple[str, Traversable]) -> None:
    name, file = sample

    check_what_the_vendor_signs_is_let_in(VENDORS[name], file.read_bytes())


@for_each(name=VENDORS)
def test_a_signed_delivery_says_that_it_is_json(name: str) -> None:
    delivery = VENDORS[name].sign(b"{}", SECRET)

    assert delivery.headers["Content-Type"] == "application/json"


@for_each(name=VENDORS)
def test_every_vendor_has_samples_and_every_expectation_belongs_to_one(name: str) -> None:
    samples = [Path(str(sample)) for sample in vendors.samples(name)]

    assert samples
    assert len({sample.name for sample in samples}) == len(samples)
    folder = samples[0].parent
    assert set(folder.rglob("*.expected.json")) == set(map(expectation.path_of, samples))
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".txt", ".md"}


@for_each(name=VENDORS)
def test_an_insecure_source_lets_everyone_in_and_echoes_nothing(name: str) -> None:
    stranger = Request(body=b'{"token": "x"}', query_string="token=x", path_secret="x")

    echo = VENDORS[name].authenticate(stranger, Secrets([]))

    assert echo is None


@for_each(name=VENDORS)
def test_a_call_without_a_body_is_a_test_call_without_events(name: str) -> None:
    bodies = [b"", b" \r\n", b"\xef\xbb\xbf"]

    found = [VENDORS[name].normalize(Request(body=body)) for body in bodies]

    assert found == [[], [], []]


@pytest.mark.parametrize("name", HANDSHAKING)
def test_a_handshake_is_let_in_and_holds_no_event(name: str) -> None:
    vendor = VENDORS[name]
    delivery = vendors.handshake(vendor, SECRET)
    assert delivery is not None

    echo = vendor.authenticate(delivery.as_received(), Secrets([SECRET]))

    assert (echo.token if echo else None) == (SECRET if vendors.echoes(vendor) else None)
    assert vendor.normalize(delivery.as_received()) == []


THIRD_PARTY = """
import orjson
from relay.vendors.kit.authentication import require_secret
from relay.errors import Malformed
from relay.events.event import NormalizedEvent
from relay.vendors.kit.request import OutgoingRequest

def authenticate(request, secrets):
    require_secret([request.headers.get("x-tiny", "")], secrets)

def normalize(request):
    if not request.body.strip(b"\\xef\\xbb\\xbf \\r\\n"):
        return []
    try:
        body = orjson.loads(request.body)
    except ValueError as error:
        raise Malformed("not_json") from error
    contact = {"id": body["who"]}
    data = {"contact": contact}
    return [NormalizedEvent(type="note.created", vendortype="n", data=data, raw=request.body)]

def sign(body, secret):
    return OutgoingRequest(body=body, headers={"X-Tiny": secret})
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a vendor as another package would; return the folder of its samples."""
    info = tmp_path / "tinychat-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinychat\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[relay.vendors]\ntinychat = tinychat_vendor\nacquire = tinychat_vendor\n"
    )
    (tmp_path / "tinychat_vendor.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(tmp_path)
    vendors.find.cache_clear()
    vendors.discover.cache_clear()
    yield tmp_path
    vendors.find.cache_clear()
    vendors.discover.cache_clear()
    sys.modules.pop("tinychat_vendor", None)


def test_a_vendor_of_another_package_meets_the_same_contract(third_party: Path) -> None:
    sample, malformed = third_party / "01-note.json", third_party / "02-cut.txt"
    sample.write_bytes(b'{"who": "7"}')
    malformed.write_bytes(b'{"who": "')
    attributes = {"type": "note.created", "vendortype": "n", "subject": "contact/7"}
    event = {"routing_key": "tinychat.note.created", **attributes, "partitionkey": "7", "raw": ""}
    expected = {"events": [event | {"data": {"contact": {"id": "7"}}}]}
    sample.with_name("01-note.expected.json").write_text(json.dumps(expected))
    malformed.with_name("02-cut.expected.json").write_text('{"quarantined": "not_json"}')

    vendor = vendors.discover()["tinychat"]

    check_what_the_vendor_signs_is_let_in(vendor, sample.read_bytes())
    check_the_sample_gives_what_is_expected("tinychat", vendor, sample)
    check_the_sample_gives_what_is_expected("tinychat", vendor, malformed)
    assert not vendors.echoes(vendor)
    assert vendors.handshake(vendor, SECRET) is None
    assert vendors.samples("tinychat") == []


@pytest.mark.usefixtures("third_party")
def test_a_vendor_of_another_package_cannot_take_a_built_in_name() -> None:
    found = vendors.discover()

    assert found["acquire"] is VENDORS["acquire"]
    assert list(found) == sorted([*VENDORS, "tinychat"])


@pytest.mark.usefixtures("third_party")
def test_a_vendor_is_found_by_name_as_among_all() -> None:
    assert vendors.find("acquire") is VENDORS["acquire"]
    assert vendors.find("tinychat") is vendors.discover()["tinychat"]


@for_each(name=["", "kit", "parts", "generic", "_samples", "samples.x", "Acquire"])
def test_what_is_no_vendor_is_not_found(name: str) -> None:
    assert vendors.find(name) is None
