"""The vendors: one module each, discovered by name. No code outside knows a vendor's name.

Each module here whose name does not begin with an underscore is a vendor of that name. Other
packages register theirs in the entry-point group `relay.vendors`. `Vendor` says what a module must
offer; `kit/` has the parts to build it from.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Protocol, cast

from relay.errors import Malformed
from relay.events.event import TYPES, NormalizedEvent, NotUnderstood
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Answer, Echo, OutgoingRequest, Request

ENTRY_POINTS = "relay.vendors"
ASKING_METHODS = ("GET", "HEAD", "OPTIONS")
"""Those in which a vendor may ask something. Events come with POST."""


class Vendor(Protocol):
    """All that is known about one vendor. Pure: no I/O, no clock, no environment.

    A module may also offer:

    - `handshake(secret: str) -> OutgoingRequest`: the call its vendor makes before any event;
    - `ECHOES = True`: its `authenticate` may return an Echo;
    - `answer(request: Request, secrets: Secrets) -> Answer | None`: what it wants to read when it
      asks with GET, HEAD or OPTIONS; None or Unauthenticated for what is no such question;
    - `TYPES`: the types of event that its `normalize` returns, besides `unrecognized`.
    """

    def authenticate(self, request: Request, secrets: Secrets) -> Echo | Answer | None:
        """Raise Unauthenticated unless the request was made by someone who knows a secret.

        Returns:
            An Answer if the request is a challenge, which holds no events.
        """
        ...

    def normalize(self, request: Request) -> Sequence[NormalizedEvent | NotUnderstood]:
        """Return the events of an authenticated request, or raise Malformed.

        Elements that are not understood stand among the events, unless none is understood.
        """
        ...

    def sign(self, body: bytes, secret: str) -> OutgoingRequest:
        """Return body as the vendor would send it: what `relay send` posts."""
        ...


def normalize(vendor: Vendor, request: Request) -> Sequence[NormalizedEvent | NotUnderstood]:
    """Return what is in an authenticated request; lone surrogates are repaired for any vendor.

    Raises:
        Malformed: the vendor's code does not understand it.
    """
    try:
        return vendor.normalize(request)
    except Malformed:
        repaired = request._replace(body=raw_json.repair(request.body))
        if repaired.body == request.body:
            raise
    return [
        event
        if isinstance(event, NotUnderstood)
        else event._replace(is_repaired=event.raw not in request.body)
        for event in vendor.normalize(repaired)
    ]


def discover() -> dict[str, Vendor]:
    """Import every vendor there is, by name. Entry points may not take a built-in's name."""
    vendors = {
        entry.name: cast("Vendor", entry.load())
        for entry in metadata.entry_points(group=ENTRY_POINTS)
    }
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg and not module.name.startswith("_"):
            vendor = importlib.import_module(f"{__name__}.{module.name}")
            vendors[module.name] = cast("Vendor", vendor)
    return dict(sorted(vendors.items()))


def echoes(vendor: Vendor) -> bool:
    """Return whether the vendor's handshake wants to read its token in the answer."""
    return bool(getattr(vendor, "ECHOES", False))


def answers(vendor: Vendor, method: str) -> bool:
    """Return whether the vendor may ask something with this method, which is not POST."""
    return method in ASKING_METHODS and hasattr(vendor, "answer")


def answer(vendor: Vendor, request: Request, secrets: Secrets) -> Answer | None:
    """Return what the vendor wants to read in answer to a question; None if this is none.

    Raises:
        Unauthenticated: the caller knows no secret.
    """
    asked = getattr(vendor, "answer", None)
    return cast("Answer | None", asked(request, secrets)) if asked else None


def types(vendor: Vendor) -> frozenset[str]:
    """Return the types of event the vendor may send: all of them, unless it has its own TYPES."""
    return frozenset({*getattr(vendor, "TYPES", TYPES), "unrecognized"})


def handshake(vendor: Vendor, secret: str) -> OutgoingRequest | None:
    """Return the vendor's handshake call, or None when it makes none."""
    build = getattr(vendor, "handshake", None)
    return cast("OutgoingRequest", build(secret)) if build else None


def samples(name: str) -> list[Traversable]:
    """Return the payloads of a built-in vendor.

    First the documented ones, then those of `field`, as real receivers see them, then those of
    `malformed`. No two have the same name.
    """
    vendor_folder = files(__name__) / "samples" / name
    found: list[Traversable] = []
    for folder in (vendor_folder, vendor_folder / "field", vendor_folder / "malformed"):
        if folder.is_dir():
            samples_here = [file for file in folder.iterdir() if _is_sample(file.name)]
            found += sorted(samples_here, key=lambda file: file.name)
    return found


def _is_sample(name: str) -> bool:
    return name.endswith((".json", ".txt")) and not name.endswith(".expected.json")
