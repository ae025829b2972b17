"""How a sender proves who it is, as its settings say: signatures, times, tokens, forms."""

import base64
import hmac
import pickle
from hashlib import new as new_digest
from hashlib import sha256
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from relay.vendors.kit.request import Request
from tests.support.generic_sources import PUBLIC_URL, generic_source, hmac_options, let_in, refused
from tests.support.rows import for_each, for_each_row

BODY = b'{"a": 1}'
NOW = 1_700_000_000
SECRET = "s3cret"
IN_PARTS = hmac_options(
    signed="{timestamp}.{body}", value="v1={signature}", separator=",", timestamp_field="t"
)


def digest(text: bytes, secret: str = SECRET, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), text, algorithm).digest()


def request(headers: dict[str, str], body: bytes = BODY, **fields: Any) -> Request:
    return Request(body=body, headers=headers, received_at=float(NOW), **fields)


@for_each(encoding=["hex", "base64"], algorithm=["sha1", "sha256", "sha512"])
def test_algorithms_and_encodings(algorithm: str, encoding: str) -> None:
    source = generic_source(SECRET, verify=hmac_options(algorithm=algorithm, encoding=encoding))
    made = digest(BODY, algorithm=algorithm)
    right = made.hex() if encoding == "hex" else base64.b64encode(made).decode()
    wrong = made.hex() if encoding == "base64" else base64.b64encode(made).decode()

    assert let_in(source, request({"x-signature": right}))
    assert refused(source, request({"x-signature": wrong})) == "signature_malformed"
    assert refused(source, request({"x-signature": right}, b"{}")) == "signature_wrong"


@for_each_row(
    ("kind", "secret"),
    [
        ("utf8", "caf\u00e9"),
        ("hex", "00ff10"),
        ("hex", "00FF10"),
        ("base64", "AP8Q"),
        ("whsec", "whsec_AP8Q"),
        ("whsec", "AP8Q"),
        ("whsec", "whsec_AP8QAA"),
    ],
)
def test_keys_are_read_as_the_sender_writes_them(kind: str, secret: str) -> None:
    raw = {"utf8": secret.encode(), "whsec_AP8QAA": b"\0\xff\x10\0"}
    key = raw.get(kind, raw.get(secret, b"\0\xff\x10"))
    source = generic_source(secret, verify=hmac_options(key=kind))

    assert let_in(source, request({"x-signature": hmac.new(key, BODY, "sha256").hexdigest()}))


@for_each_row(
    ("signed", "text"),
    [
        ("{body}", BODY),
        ("v0:{body}", b"v0:" + BODY),
        ("{method}|{body}", b"POST|" + BODY),
        ("{method}{url}{body}", f"POST{PUBLIC_URL}?a=%20b&c".encode() + BODY),
        ("{header:X-Kind}.{body}", b"paid." + BODY),
        ("{id}.{body}", b"m1." + BODY),
        ("{body}{body}", BODY + BODY),
        ("\u00e9{body}", "\u00e9".encode() + BODY),
    ],
)
def test_what_is_signed_is_a_template(signed: str, text: bytes) -> None:
    options = {"signed": signed}
    if "{url}" in signed:
        options["public_url"] = f"{PUBLIC_URL}?old=1#part"
    if "{id}" in signed:
        options["id_header"] = "X-Id"
    source = generic_source(SECRET, verify=hmac_options(**options))
    headers = {"x-signature": digest(text).hex(), "x-kind": "paid", "x-id": "m1"}

    assert let_in(source, request(headers, query_string="a=%20b&c"))
    if "{url}" in signed:
        assert refused(source, request(headers, query_string="a=+b&c")) == "signature_wrong"
    if "header" in signed:
        del headers["x-kind"]
        assert refused(source, request(headers)) == "signature_missing"


@for_each(
    body=[b"", BODY, '{"name": "Z\u00fcrich \U0001f600"}'.encode()],
    algorithm=["sha1", "sha256", "sha512"],
)
def test_a_digest_has_the_secret_in_front(algorithm: str, body: bytes) -> None:
    options = hmac_options(kind="digest", algorithm=algorithm, signed="{method}:{body}")
    source = generic_source("another", SECRET, verify=options)
    signature = new_digest(algorithm, SECRET.encode() + b"POST:" + body).hexdigest()

    assert let_in(source, request({"x-signature": signature}, body))
    assert refused(source, request({"x-signature": signature}, body + b" ")) == "signature_wrong"
    assert refused(source, request({"x-signature": digest(body).hex()}, body)) in {
        "signature_wrong",
        "signature_malformed",
    }


@for_each_row(
    ("algorithm", "block"),
    [("sha1", 64), ("sha256", 64), ("sha512", 128)],
    added=[b"", b',{"amount": 1}', "\u0080".encode()[1:]],
    body=[b"", BODY, b"[" + b"1," * 60 + b"1]", "\u00e9".encode()],
)
def test_what_was_appended_to_a_digested_message_without_the_secret_is_refused(
    algorithm: str, block: int, body: bytes, added: bytes
) -> None:
    source = generic_source(SECRET, verify=hmac_options(kind="digest", algorithm=algorithm))
    size = len(SECRET) + len(body)
    zeros = -(size + 1 + block // 8) % block
    longer = body + b"\x80" + bytes(zeros) + (8 * size).to_bytes(block // 8) + added
    # Whoever has the digest of the shorter message can make that of the longer one from it alone.
    signature = new_digest(algorithm, SECRET.encode() + longer).hexdigest()

    assert refused(source, request({"x-signature": signature}, longer)) == "signature_wrong"


def test_each_signature_of_the_header_is_tried_with_each_secret() -> None:
    source = generic_source("one", "two", "three", verify=IN_PARTS)
    text = b"%d.%b" % (NOW, BODY)
    right, wrong = digest(text, "three").hex(), digest(text, "four").hex()

    for parts in (f"v1={wrong},v1={right}", f"v1={right},v1={wrong}", f"v0=x,v1={right},v2=y"):
        assert let_in(source, request({"x-signature": f"t={NOW},{parts}"}))
    assert refused(source, request({"x-signature": f"t={NOW},v1={wrong}"})) == "signature_wrong"
    assert refused(source, request({"x-signature": f"t={NOW},v0={right}"})) == "signature_malformed"
    many = ",".join([f"v1={wrong}"] * 64)
    assert refused(source, request({"x-signature": f"t={NOW},{many}"})) == "signature_malformed"


@for_each(
    value=[
        "",
        "x",
        "sha256=",
        "=",
        "\udcff",
        "\u00e9" * 64,
        "A" * 64,
        "a" * 63,
        "a" * 65,
        " " + "a" * 63,
    ]
)
def test_what_is_no_signature_is_malformed(value: str) -> None:
    source = generic_source(SECRET, verify=hmac_options())

    assert refused(source, request({"x-signature": value})) == "signature_malformed"


def test_a_header_that_comes_twice_is_refused() -> None:
    source = generic_source(
        SECRET,
        verify=hmac_options(signed="{timestamp}.{body}", timestamp_header="x-time"),
    )
    made = digest(b"%d.%b" % (NOW, BODY)).hex()
    fields = [("X-Signature", made), ("X-Time", str(NOW))]

    def sent(*more: tuple[str, str]) -> Request:
        return Request(body=BODY, headers=CIMultiDictProxy(CIMultiDict([*fields, *more])))

    assert let_in(source, sent())
    assert refused(source, sent(("X-Signature", made))) == "signature_malformed"
    assert refused(source, sent(("x-time", str(NOW)))) == "timestamp_malformed"


@pytest.mark.parametrize(
    ("notation", "moment"),
    [
        ("unix", "1700000000"),
        ("unix_ms", "1700000000999"),
        ("rfc3339", "2023-11-14T22:13:20Z"),
        ("rfc3339", "2023-11-14T23:13:20.123456789+01:00"),
    ],
)
def test_a_time_may_be_written_in_three_ways(notation: str, moment: str) -> None:
    options = hmac_options(
        signed="{timestamp}{body}", timestamp_header="x-time", timestamp=notation, tolerance_s=60
    )
    source = generic_source(SECRET, verify=options)
    headers = {"x-time": moment, "x-signature": digest(moment.encode() + BODY).hex()}

    assert let_in(source, request(headers))
    assert refused(source, request(headers)._replace(received_at=NOW + 62.0)) == "too_old"
    assert refused(source, request(headers)._replace(received_at=NOW - 62.0)) == "too_new"


@for_each_row(
    ("notation", "moment"),
    [
        *(("unix", text) for text in ("", "+1700000000", "-1", " 1700000000", "1700000000 ")),
        *(("unix", text) for text in ("1_700_000_000", "1.7e9", "1700000000.0", "0x1", "nan")),
        *(("unix", text) for text in ("01700000000", "9" * 12, "9" * 400, "\u0661\u0662", "1\n")),
        *(("unix_ms", text) for text in ("+1", "9" * 15, "1700000000000.5", "\uff11")),
        *(("rfc3339", text) for text in ("2023-11-14", "2023-11-14 22:13:20Z", "1700000000")),
        *(("rfc3339", text) for text in ("2023-11-14T22:13:20", "2023-13-14T22:13:20Z")),
        *(("rfc3339", text) for text in ("9999-12-31T23:59:59-23:59z", "20231114T221320Z")),
    ],
    where=["field", "header"],
)
def test_a_time_that_is_not_written_so_is_refused_though_it_is_signed(
    notation: str, moment: str, where: str
) -> None:
    options = {"signed": "{timestamp}.{body}", "timestamp": notation, "separator": ","}
    made = digest(moment.encode() + b"." + BODY).hex()
    if where == "field":
        source = generic_source(SECRET, verify=hmac_options(timestamp_field="t", **options))
        headers = {"x-signature": f"t={moment},{made}"}
    else:
        source = generic_source(SECRET, verify=hmac_options(timestamp_header="x-time", **options))
        headers = {"x-signature": made, "x-time": moment}

    assert refused(source, request(headers)) == "timestamp_malformed"


def test_a_time_that_comes_twice_or_not_at_all_is_refused() -> None:
    source = generic_source(SECRET, verify=IN_PARTS)
    made = digest(b"%d.%b" % (NOW, BODY)).hex()

    twice = request({"x-signature": f"t={NOW},t={NOW},v1={made}"})
    assert refused(source, twice) == "timestamp_malformed"
    assert refused(source, request({"x-signature": f"v1={made}"})) == "timestamp_missing"


TWILIO = {"kind": "twilio", "public_url": f"{PUBLIC_URL}?x=1"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def twilio(text: str, headers: dict[str, str], body: bytes, query: str = "") -> Request:
    made = base64.b64encode(digest(text.encode(), algorithm="sha1")).decode()
    return Request(body=body, headers={**headers, "x-twilio-signature": made}, query_string=query)


@pytest.mark.parametrize("url", [PUBLIC_URL, "https://hooks.example.com:443/in/acme"])
def test_twilio_may_name_the_port_or_not(url: str) -> None:
    source = generic_source("old", SECRET, verify=TWILIO)

    assert let_in(source, twilio(f"{url}?q=1Ab", FORM, b"A=b", "q=1"))
    assert refused(source, twilio("https://evil.example/Ab", FORM, b"A=b")) == "signature_wrong"


@pytest.mark.parametrize("body", [b'{"a":1}', b"", b"\xff\xfe"])
def test_twilio_signs_a_body_that_is_no_form_by_its_digest_in_the_url(body: bytes) -> None:
    source = generic_source(SECRET, verify=TWILIO)
    query = f"bodySHA256={sha256(body).hexdigest()}"
    good = twilio(f"{PUBLIC_URL}?{query}", {"content-type": "application/json"}, body, query)

    assert let_in(source, good)
    assert refused(source, good._replace(body=body + b" ")) == "signature_wrong"


@pytest.mark.parametrize(
    "query", ["bodySHA256=\udca5", "bodySHA256=%A5", "bodySHA256=", "\udcff=1"]
)
def test_twilio_an_odd_query_is_no_signature(query: str) -> None:
    source = generic_source(SECRET, verify=TWILIO)

    assert refused(source, twilio(PUBLIC_URL, {}, b"{}", query)) == "signature_wrong"


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, b'{"a":1}'), ({"content-type": "text/plain"}, b"a=b"), (FORM, b"&&&"), (FORM, b"\xff=")],
)
def test_twilio_a_body_that_nothing_signs_is_refused(headers: dict[str, str], body: bytes) -> None:
    source = generic_source(SECRET, verify=TWILIO)

    assert refused(source, twilio(PUBLIC_URL, headers, body)) == "signature_wrong"


def test_without_secrets_everyone_is_let_in() -> None:
    for verify in (None, IN_PARTS, TWILIO, {"kind": "token", "header": "x"}):
        source = generic_source(verify=verify)

        assert let_in(source, Request(body=BODY))


def test_a_configured_sender_goes_to_another_process_and_is_the_same_there() -> None:
    for verify in (
        IN_PARTS,
        TWILIO,
        {"kind": "standard-webhooks"},
        {"kind": "token", "query": "a"},
    ):
        source = generic_source("whsec_AP8Q", verify=verify, event={"type": "/a"})

        assert pickle.loads(pickle.dumps(source.vendor)) == source.vendor  # noqa: S301  our own
