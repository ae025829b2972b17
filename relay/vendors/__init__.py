"""The vendors: one module each, found by looking. Nothing outside knows a vendor's name.

A module here whose name has no underscore in front is a vendor under that name; so is whatever
another package registers in the entry-point group `relay.vendors`. What it must offer is Vendor;
what it is made of is in `kit/`.
"""

import importlib
import pkgutil
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Protocol, cast

from relay.events.event import TYPES, NormalizedEvent
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Echo, OutgoingRequest, Request

ENTRY_POINTS = "relay.vendors"


class Vendor(Protocol):
    """All that is known about one vendor. Pure: no I/O, no clock, no environment.

    A module may also offer `handshake(secret: str) -> OutgoingRequest`, the call its vendor makes
    before any event, `ECHOES = True` when its `authenticate` may return an Echo, and `TYPES`,
    the types of event its `normalize` returns, beside `unrecognized`.
    """

    def authenticate(self, request: Request, secrets: Secrets) -> Echo | None:
        """Raise Unauthenticated unless the request was made by someone who knows a secret."""
        ...

    def normalize(self, request: Request) -> list[NormalizedEvent]:
        """Return the events of an authenticated request, or raise Malformed."""
        ...

    def sign(self, body: bytes, secret: str) -> OutgoingRequest:
        """Return body as the vendor would send it: what `relay send` posts."""
        ...


def discover() -> dict[str, Vendor]:
    """Import every vendor there is, by name. Entry points may not take a built-in's name."""
    found = {
        entry.name: cast("Vendor", entry.load())
        for entry in metadata.entry_points(group=ENTRY_POINTS)
    }
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg and not module.name.startswith("_"):
            found[module.name] = cast(
                "Vendor", importlib.import_module(f"{__name__}.{module.name}")
            )
    return dict(sorted(found.items()))


def echoes(vendor: Vendor) -> bool:
    """Tell whether the vendor's handshake wants its token read back."""
    return bool(getattr(vendor, "ECHOES", False))


def types(vendor: Vendor) -> frozenset[str]:
    """Return the types of event the vendor may send: what it says, or all there are."""
    return frozenset({*getattr(vendor, "TYPES", TYPES), "unrecognized"})


def handshake(vendor: Vendor, secret: str) -> OutgoingRequest | None:
    """Return the vendor's handshake call, or None when it makes none."""
    build = getattr(vendor, "handshake", None)
    return cast("OutgoingRequest", build(secret)) if build else None


def samples(name: str) -> list[Traversable]:
    """Return the documented payloads of a built-in vendor, malformed ones last."""
    folder = files(__name__) / "samples" / name
    found = []
    for place in (folder, folder / "malformed"):
        if place.is_dir():
            found += sorted(
                (file for file in place.iterdir() if _is_sample(file.name)), key=lambda f: f.name
            )
    return found


def _is_sample(name: str) -> bool:
    return name.endswith((".json", ".txt")) and not name.endswith(".expected.json")
