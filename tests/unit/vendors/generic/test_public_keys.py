"""Public keys: however they are written, and only the one signature that each makes."""

import base64

import pytest

from relay.vendors.generic.public_keys import signature_check
from relay.vendors.kit.request import Request
from tests.support.generic_sources import generic_source, let_in, refused
from tests.support.senders import ed25519_keys, pem, raw_hex, rsa_keys

BODY = b'{"a": 1}'


def test_public_keys_may_be_written_in_several_ways() -> None:
    key, rsa_key = ed25519_keys()[0], rsa_keys()[0]
    raw = key.public_key().public_bytes_raw()
    signature = key.sign(BODY)
    inner = "".join(pem(rsa_key).splitlines()[1:-1])

    encoded = base64.b64encode(raw).decode()
    for text in (raw_hex(key), encoded, f"whpk_{encoded}", pem(key)):
        assert signature_check("ed25519", text)(signature, BODY)
        assert not signature_check("ed25519", text)(signature, BODY + b" ")
    for text in (pem(rsa_key), inner):
        assert not signature_check("rsa-sha256", text)(b"x" * 256, BODY)
    for kind, text in (
        ("ed25519", pem(rsa_key)),
        ("ed25519", "00"),
        ("ed25519", "x" * 64),
        ("rsa-sha256", pem(key)),
        ("rsa-sha256", "AAAA"),
        ("rsa-sha256", "\u00e9"),
    ):
        with pytest.raises(ValueError, match="one is no public key for"):
            signature_check(kind, text)


def test_no_signature_of_a_public_key_can_be_written_otherwise() -> None:
    key = ed25519_keys()[0]
    verify = {"kind": "public_key", "header": "x-signature", "encoding": "base64"}
    source = generic_source(raw_hex(key), verify=verify)
    made = base64.b64encode(key.sign(BODY)).decode()
    other = {"A": "B", "Q": "R", "g": "h", "w": "x"}[made[-3]]

    assert let_in(source, Request(body=BODY, headers={"x-signature": made}))
    assert (
        refused(source, Request(body=BODY, headers={"x-signature": f"{made[:-3]}{other}=="}))
        == "signature_wrong"
    )
