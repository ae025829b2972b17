"""The vendors: one module each, discovered by name. No code outside knows a vendor's name.

Each module here whose name does not begin with an underscore is a vendor of that name. Other
packages register theirs in the entry-point group `relay.vendors`. `Vendor` says what a module must
offer; `kit/` has the parts to build it from. A folder with `configure` makes vendors out of what
the settings say, as `Configurable` has it.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Protocol, cast

from relay.errors import Malformed, SettingsError
from relay.events.event import TYPES, NormalizedEvent, NotUnderstood
from relay.vendors.kit import raw_json
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.known_fields import KnownFields
from relay.vendors.kit.request import Answer, Echo, OutgoingRequest, Request
from relay.vendors.kit.setup import Setup

ENTRY_POINTS = "relay.vendors"
ASKING_METHODS = ("GET", "HEAD", "OPTIONS")
"""Those in which a vendor may ask something. Events come with POST."""


class Vendor(Protocol):
    """All that is known about one vendor. Pure: no I/O, no clock, no environment.

    A module may also offer:

    - `handshake(secret: str) -> OutgoingRequest`: the call its vendor makes before any event;
    - `SIGNS_TIME = True`: its `sign` and `handshake` take the time, too, in seconds since 1970;
    - `ECHOES = True`: its `authenticate` may return an Echo;
    - `answer(request: Request, secrets: Secrets) -> Answer | None`: what it wants to read when it
      asks with GET, HEAD or OPTIONS; None or Unauthenticated for what is no such question;
    - `ASKS`: the methods in which it asks: those that its `answer` answers, and POST if its
      `authenticate` may return an Answer. Without, these are all that `answer` may get;
    - `TYPES`: the types of event that its `normalize` returns, besides `unrecognized`;
    - `SETUP`: what a person enters at the vendor; see `kit/setup.py`;
    - `FIELDS`: JSON pointers to fields of an element that its code reads and no sample shows, and
      to objects whose names are data; see `KnownFields.declare`.
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


class Configurable(Protocol):
    """What makes vendors out of the settings of sources.

    Args:
        NAMES: what `vendor` may say for one of these.
        ABOUT: one sentence on each of NAMES.
        SETUPS: how a source of each of NAMES is connected.
        OPTIONS: the settings of a source that it takes.
        SECRET_OPTIONS: paths of those that are secrets: a table of OPTIONS, and a key in it.
        OPTION_SCHEMAS: the JSON Schema of each of OPTIONS; in keywords that mean the
            same in drafts 4 and 2020-12.
    """

    NAMES: Sequence[str]
    ABOUT: Mapping[str, str]
    SETUPS: Mapping[str, Setup]
    OPTIONS: Sequence[str]
    SECRET_OPTIONS: Sequence[tuple[str, str]]
    OPTION_SCHEMAS: Mapping[str, Mapping[str, Any]]

    def configure(
        self, name: str, options: Mapping[str, Any], secrets: Sequence[str]
    ) -> tuple[str, Vendor]:
        """Return the name that events give their vendor, and the vendor.

        Raises:
            SettingsError: with one sentence per problem, without its full stop, that begins with
                the name of the setting and a colon.
        """
        ...

    def presets_of(self, name: str) -> Sequence[str]:
        """Return what `preset` may say beside one of NAMES: others of NAMES, or nothing."""
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


@cache
def find(name: str) -> Vendor | None:
    """Import the vendor of this name, and no other; None if there is none.

    Each takes milliseconds to import, and most receivers serve a few. Entry points may not take a
    built-in's name.
    """
    if name in _built_in_names():
        return cast("Vendor", importlib.import_module(f"{__name__}.{name}"))
    entry = _entry_points().get(name)
    return cast("Vendor", entry.load()) if entry else None


@cache
def discover() -> Mapping[str, Vendor]:
    """Import every vendor there is, by name."""
    found = {name: find(name) for name in sorted({*_built_in_names(), *_entry_points()})}
    return {name: vendor for name, vendor in found.items() if vendor}


def _built_in_names() -> Iterator[str]:
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg and not module.name.startswith("_"):
            yield module.name


def _entry_points() -> dict[str, metadata.EntryPoint]:
    """Look through the installed packages, which takes milliseconds."""
    return {entry.name: entry for entry in metadata.entry_points(group=ENTRY_POINTS)}


@cache
def configurable() -> dict[str, Configurable]:
    """Import all that makes vendors out of settings, by what `vendor` may say for it."""
    found: dict[str, Configurable] = {}
    for folder in pkgutil.iter_modules(__path__):
        if folder.ispkg and not folder.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{folder.name}")
            if hasattr(module, "configure"):
                maker = cast("Configurable", module)
                found |= dict.fromkeys(maker.NAMES, maker)
    return found


def configure(name: str, options: Mapping[str, Any], secrets: Sequence[str]) -> tuple[str, Vendor]:
    """Return the name that a source's events give their vendor, and the vendor's code.

    Args:
        name: what the settings call it.
        options: of the source, for a Configurable.
        secrets: the live ones; empty for a source that lets everyone in.

    Raises:
        SettingsError: as `Configurable.configure`.
    """
    vendor = find(name)
    if vendor:
        if options:
            raise SettingsError([f"{option}: {_takes_none(name)}" for option in options])
        return name, vendor
    maker = configurable().get(name)
    if maker is None:
        raise SettingsError([f"vendor: {name!r} is none of {', '.join(names())}"])
    return maker.configure(name, options, secrets)


def _takes_none(name: str) -> str:
    """Return why a vendor with a module of its own takes no options, and who may take them."""
    others = [other for other, maker in configurable().items() if name in maker.NAMES]
    if not others:
        return f"{name} takes no such setting"
    return f'{name} takes no such setting; vendor = "generic" with preset = "{name}" does'


def names() -> list[str]:
    """Return all that `vendor` may say in the settings of a source."""
    return sorted({*discover(), *configurable()})


def presets_of(name: str) -> Sequence[str]:
    """Return what the settings may say as `preset` of a source of this vendor."""
    return () if find(name) else configurable()[name].presets_of(name)


def setup_of(name: str, preset: str = "") -> Setup:
    """Return how a source of a vendor, or of a preset of it, is connected."""
    vendor = find(name)
    if vendor:
        return getattr(vendor, "SETUP", Setup())
    return configurable()[name].SETUPS[preset or name]


def secret_options(name: str) -> Sequence[tuple[str, str]]:
    """Return the paths of the options that are secrets; see Configurable."""
    return () if find(name) else configurable()[name].SECRET_OPTIONS


def option_schemas() -> dict[str, Mapping[str, Any]]:
    """Return the JSON Schemas of the options of all Configurables, by the option's name."""
    found: dict[str, Mapping[str, Any]] = {}
    for maker in configurable().values():
        found |= maker.OPTION_SCHEMAS
    return found


def sign(vendor: Vendor, body: bytes, secret: str, now: float) -> OutgoingRequest:
    """Return body as the vendor would send it now.

    Args:
        vendor: its `sign` may take the time, too.
        body: to send.
        secret: to sign with.
        now: seconds since 1970.

    Raises:
        ValueError: only the vendor can sign it.
    """
    if getattr(vendor, "SIGNS_TIME", False):
        signs = cast("Any", vendor).sign
        return cast("OutgoingRequest", signs(body, secret, now))
    return vendor.sign(body, secret)


def echoes(vendor: Vendor) -> bool:
    """Return whether the vendor's handshake wants to read its token in the answer."""
    return bool(getattr(vendor, "ECHOES", False))


def asks(vendor: Vendor) -> Sequence[str]:
    """Return the methods in which the vendor may ask something, POST included."""
    methods = ASKING_METHODS if hasattr(vendor, "answer") else ()
    return cast("Sequence[str]", getattr(vendor, "ASKS", methods))


def answers(vendor: Vendor, method: str) -> bool:
    """Return whether the vendor may ask something with this method, which is not POST."""
    return method in ASKING_METHODS and method in asks(vendor)


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


def handshake(vendor: Vendor, secret: str, now: float = 0.0) -> OutgoingRequest | None:
    """Return the vendor's handshake call, or None when it makes none.

    Raises:
        ValueError: only the vendor can sign it.
    """
    build = getattr(vendor, "handshake", None)
    if build is None:
        return None
    is_timed = getattr(vendor, "SIGNS_TIME", False)
    return cast("OutgoingRequest | None", build(secret, now) if is_timed else build(secret))


def samples(name: str) -> list[Traversable]:
    """Return the payloads of a built-in vendor.

    First the documented ones, then those of `field`, as real receivers see them, then those of
    `malformed`. No two have the same name.
    """
    vendor_folder = files(__name__) / "samples" / name
    found: list[Traversable] = []
    for folder in (vendor_folder, vendor_folder / "field", vendor_folder / "malformed"):
        if folder.is_dir():
            samples_here = [file for file in folder.iterdir() if is_sample(file.name)]
            found += sorted(samples_here, key=lambda file: file.name)
    return found


def known_fields(name: str, vendor: Vendor) -> KnownFields | None:
    """Return what the elements of a vendor are known to have, or None if no sample shows any."""
    known, is_empty = KnownFields(), True
    for sample in samples(name):
        with contextlib.suppress(Malformed):
            for element in normalize(vendor, Request(body=sample.read_bytes())):
                if isinstance(element, NormalizedEvent):
                    known.learn(raw_json.parse(element.raw))
                    is_empty = False
    for pointer in getattr(vendor, "FIELDS", ()):
        known.declare(pointer)
    return None if is_empty else known


def is_sample(name: str) -> bool:
    """Return whether a file of that name is a payload, and no expectation of one."""
    return name.endswith((".json", ".txt")) and not name.endswith(".expected.json")
