"""Sources of any sender, as the settings make them, and requests as a vendor's code sees them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from relay import vendors
from relay.errors import Unauthenticated
from relay.events.message import Origin
from relay.ingress.processing import Source
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

PUBLIC_URL = "https://hooks.example.com/in/acme"


def generic_source(
    *secrets: str, vendor: str = "generic", name: str = "acme", **options: Any
) -> Source:
    """Return a source whose options are those of the settings.

    Args:
        secrets: the live ones.
        vendor: `generic` or a preset; one that has a module of its own is named as a preset.
        name: of the source.
        options: the tables of the settings.
    """
    if vendor in vendors.discover():
        vendor, options = "generic", {"preset": vendor, **options}
    word, sender = vendors.configure(vendor, options, secrets)
    return Source(origin=Origin(vendor=word, source=name), vendor=sender, secrets=Secrets(secrets))


def refused(source: Source, request: Request) -> str:
    """Return why a request is refused, in words that hold no secret."""
    with pytest.raises(Unauthenticated) as caught:
        source.vendor.authenticate(request, source.secrets)
    assert not any(secret in str(caught.value) for secret in source.secrets.values)
    return caught.value.reason


def let_in(source: Source, request: Request) -> bool:
    """Return whether a request is let in, and asks nothing; see `refused` if it is not."""
    return source.vendor.authenticate(request, source.secrets) is None


def hmac_options(header: str = "x-signature", **options: Any) -> Mapping[str, Any]:
    """Return the table `verify` of an HMAC."""
    return {"kind": "hmac", "header": header, **options}


def changed(text: bytes) -> Sequence[bytes]:
    """Return text with each of its bytes changed, one at a time, and with one more or less."""
    each = [text[:i] + bytes([text[i] ^ 1]) + text[i + 1 :] for i in range(len(text))]
    return [*each, text[:-1], text + b"0"]
