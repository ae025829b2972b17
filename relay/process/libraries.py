"""Check at start that the installed libraries fit, since we use some beyond their public interface.

A release that does not fit may import without an error and misbehave later: accept connections, for
example, and never answer. So a program checks the versions before it imports the rest, and a module
that uses undocumented names of a library checks that they exist.
"""

import contextlib
import operator
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec
from typing import Any, cast

from relay.errors import UnfitLibrary

DISTRIBUTION = "chat-webhook-relay"
"""What this package is called where packages are installed from: `relay` is somebody else's."""

_CLOSELY_USED = ("aiohttp", "aiormq", "pamqp")
_COMPARE = {">=": operator.ge, "<": operator.lt}


@contextlib.contextmanager
def required() -> Iterator[None]:
    """Check the versions, then let the caller import.

    Raises:
        UnfitLibrary: a library is missing, is outside the declared range, or lacks a name.
    """
    _check_versions()
    try:
        yield
    except (ImportError, AttributeError) as error:
        library = _library_behind(error)
        if library is None:
            raise  # a bug of ours
        raise unfit(library, str(error)) from error


@contextlib.contextmanager
def hidden(library: str) -> Iterator[None]:
    """Let what is imported inside do without a library that it would import if it were there."""
    before = sys.modules.get(library)
    # Of what is None here, an import fails: https://docs.python.org/3/reference/import.html
    sys.modules[library] = cast("Any", None)
    try:
        yield
    finally:
        del sys.modules[library]
        if before:
            sys.modules[library] = before


def require_names(owner: object, *names: str) -> None:
    """Check that a module or class of a library has names that the library does not document.

    Raises:
        ImportError: it lacks one.
    """
    known = set(dir(owner))
    if isinstance(owner, type):
        known.update(owner.__annotations__)  # attributes of its instances
    for name in names:
        if name not in known:
            described = getattr(owner, "__qualname__", _module_of(owner))
            raise ImportError(f"{described} has no {name}", name=_module_of(owner))


@cache
def _check_versions() -> None:
    for library in _CLOSELY_USED:
        version = _numbers(_version_of(library))
        bounds = re.findall(r"(>=|<)([\d.]+)", _declared().get(library, ""))
        if version and not all(_COMPARE[sign](version, _numbers(end)) for sign, end in bounds):
            raise unfit(library, "")


def is_compiled() -> bool:
    """Return whether the code of each delivery's way runs as machine code; see pyproject.toml."""
    spec = find_spec("relay.events.envelope")
    return bool(spec and isinstance(spec.loader, ExtensionFileLoader))


def unfit(library: str, reason: str) -> UnfitLibrary:
    """Return the error that says why a library does not fit, and which releases do."""
    version = _version_of(library) or "(not installed)"
    because = f" ({reason.rstrip('.')})" if reason else ""
    wanted = _declared().get(library, f"another release of {library}")
    return UnfitLibrary(f"{library} {version} does not fit{because}: {wanted} is needed.")


def _library_behind(error: ImportError | AttributeError) -> str | None:
    """Return the library that is missing or lacks something; None if none does."""
    module = error.name if isinstance(error, ImportError) else _module_of(error.obj)
    library = (module or "").partition(".")[0].replace("_", "-")
    if library in {"", "relay", "consumers"}:
        return None
    return library if library in _declared() or _version_of(library) else None


def _module_of(owner: object) -> str:
    return str(getattr(owner, "__module__", getattr(owner, "__name__", "")))


@cache
def _declared() -> dict[str, str]:
    """Return the requirement by library, as pyproject.toml declares it."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    wanted = [text.partition(";")[0].strip() for text in requirements if "extra ==" not in text]
    return {re.split(r"[<>=!~ \[]", text)[0]: text for text in wanted}


def _version_of(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
