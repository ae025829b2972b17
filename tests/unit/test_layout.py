"""Which folder may import which. Change a table here only on purpose.

A room is a folder, or a module that lies in no folder of its own; a line of `MAY_IMPORT` says
which other rooms it may import.
"""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.rows import for_each

MAY_IMPORT = {
    # Values and formats: no I/O.
    "relay": "",
    "relay.errors": "",
    "relay.events": "relay.errors relay.events.schemas",
    "relay.events.schemas": "relay.events",
    "relay.vendors": "relay.errors relay.events relay.vendors.kit relay.vendors.parts",
    "relay.vendors.kit": "relay.errors relay.events",
    "relay.vendors.parts": "relay.errors relay.events relay.vendors.kit",
    "relay.vendors.generic": "relay.errors relay.events relay.vendors.kit",
    # The parts of a process.
    "relay.process": "relay.errors",
    "relay.observability": "relay.errors relay.events relay.process",
    "relay.sink": "relay.events relay.process",
    "relay.settings_file": "relay.errors",
    "relay.settings_values": "relay.settings_file",
    "relay.broker_url": "relay.settings_file",
    "relay.settings": "relay.broker_url relay.errors relay.events relay.settings_file"
    " relay.settings_values relay.vendors",
    "relay.outbox": "relay.errors relay.events relay.process relay.sink",
    "relay.broker": "relay.broker_url relay.errors relay.events relay.observability relay.process",
    # Neither broker nor outbox: no outage of theirs can fail a request but through the sink.
    "relay.ingress": "relay.errors relay.events relay.observability relay.process relay.sink"
    " relay.vendors relay.vendors.kit",
    "relay.workers": "relay.errors relay.observability relay.process",
    # What joins them.
    "relay.parking": "relay.broker relay.errors relay.events relay.observability relay.outbox"
    " relay.process",
    "relay.forwarder": "relay.broker relay.errors relay.events relay.observability relay.outbox"
    " relay.parking relay.process",
    "relay.confirm_sink": "relay.broker relay.errors relay.events relay.sink",
    "relay.admin": "relay.broker relay.errors relay.observability relay.outbox",
    "relay.configured": "relay.errors relay.events relay.ingress relay.settings relay.settings_file"
    " relay.vendors.kit",
    "relay.app": "relay.admin relay.broker relay.configured relay.confirm_sink relay.errors"
    " relay.forwarder relay.ingress relay.observability relay.outbox relay.process relay.settings"
    " relay.workers",
    "relay.openapi": "relay.errors relay.observability",  # limits and words of the admin port
    # Services.
    "consumers": "",
    "consumers.kit.database": "",
    "consumers.kit.queues": "relay.broker relay.errors relay.events",
    "consumers.kit.seen": "consumers.kit consumers.kit.database relay.outbox relay.process"
    " relay.settings_file",
    "consumers.kit.consuming": "consumers.kit consumers.kit.queues consumers.kit.seen relay.broker"
    " relay.confirm_sink relay.errors relay.events relay.observability relay.process",
    "consumers.kit": "consumers.kit.consuming consumers.kit.queues consumers.kit.seen relay.broker"
    " relay.confirm_sink relay.errors relay.events relay.observability relay.process"
    " relay.settings relay.settings_file relay.settings_values relay.vendors relay.vendors.kit",
    "consumers.SERVICE": "consumers.kit consumers.kit.consuming consumers.kit.database"
    " relay.errors relay.events relay.outbox relay.process relay.settings_file"
    " relay.settings_values",
    # Commands.
    "relay.cli.tailing": "relay.broker relay.cli relay.cli.replay relay.errors relay.events"
    " relay.process relay.settings",
    "relay.cli.replay": "consumers.kit.queues relay.cli relay.errors relay.events relay.process"
    " relay.settings",
    "relay.cli": "relay.broker relay.errors relay.events relay.ingress relay.observability"
    " relay.process relay.settings relay.settings_file relay.vendors relay.vendors.kit",
    "relay.console.watching": "relay.broker relay.errors relay.vendors.kit",
    "relay.console.triage": "consumers.kit.queues relay.broker relay.cli relay.cli.commands"
    " relay.console relay.console.watching relay.errors relay.vendors",
    "relay.console.feed": "consumers.kit relay.broker relay.console relay.console.watching"
    " relay.errors relay.events relay.observability relay.process",
    "relay.console": "consumers.SERVICE consumers.kit consumers.kit.queues relay.broker relay.cli"
    " relay.cli.documents relay.cli.replay relay.configured relay.console.feed"
    " relay.console.triage relay.console.watching relay.errors relay.events relay.events.schemas"
    " relay.ingress relay.process relay.settings relay.settings_file relay.vendors"
    " relay.vendors.kit",
    "relay.cli.checks": "consumers.kit.queues relay.broker relay.cli relay.configured relay.errors"
    " relay.events relay.ingress relay.process relay.settings relay.vendors relay.vendors.kit",
    "relay.cli.setup": "relay.broker_url relay.cli relay.errors relay.settings_file"
    " relay.settings_values relay.vendors relay.vendors.kit",
    "relay.cli.commands": "*",
    "relay.cli.documents": "*",
    "relay.__main__": "relay.cli relay.process",
}

OF_VENDORS = {"relay.vendors", "relay.vendors.generic", "relay.vendors.parts"}
PURE_ROOMS = {"relay.errors", "relay.events", "relay.vendors.kit", *OF_VENDORS}
"""Beside these, a module is pure if its docstring says so."""
# All that a pure module needs of others. None of it reads a clock, a file or the environment.
PURE_LIBRARIES = {
    *("base64", "binascii", "codecs", "collections", "collections.abc", "contextlib"),
    *("dataclasses", "datetime", "email.utils", "enum", "fnmatch", "functools", "hashlib", "hmac"),
    *("html", "http", "inspect", "ipaddress", "itertools", "json", "math", "orjson", "pamqp"),
    *("pamqp.common", "pathlib", "re", "struct", "traceback", "types", "typing", "urllib.parse"),
    *("cryptography", "yarl"),
}
FINDS_FILES_OF_ITS_PACKAGE = {"relay.vendors", "relay.events.schemas"}
FINDS_MODULES = {"importlib", "importlib.resources", "importlib.resources.abc", "pkgutil"}
DOES_IO = {
    *("now", "utcnow", "today", "print", "input", "open", "environ", "getenv", "read_text"),
    *("read_bytes", "write_text", "write_bytes", "exists", "is_file", "mkdir", "unlink"),
}

# `SERVICE` stands for the folder of each service.
ONLY_IN = {
    "aiohttp": {
        *("relay.admin", "relay.app", "relay.cli.client", "relay.cli.event_targets"),
        *("relay.console.*", "relay.ingress.*", "relay.observability.probes", "relay.process.*"),
        *("relay.workers.*", "consumers.kit.service", "consumers.SERVICE.sender"),
        "consumers.SERVICE.webhook",
    },
    "aio_pika": {
        *("relay.broker.*", "relay.cli.*", "relay.console.*", "consumers.kit.queues.bindings"),
    },
    "aiormq": {
        "relay.broker.*",
        "relay.cli.checks.*",
        "relay.console.feed.tap",
        "consumers.kit.consuming.inbox",
    },
    "sqlite3": {"relay.outbox.*", "consumers.kit.seen.sqlite", "consumers.SERVICE.sqlite"},
    "psycopg": {
        *("consumers.kit.database.postgres", "consumers.kit.seen.postgres"),
        "consumers.SERVICE.postgres",
    },
    "pydantic": {
        *("relay.settings", "relay.settings_file", "relay.settings_values"),
        *("consumers.kit.settings", "consumers.SERVICE.service"),
    },
    "pydantic_settings": {"relay.settings_file"},
    "prometheus_client": {
        *("relay.admin", "relay.app", "relay.observability.*", "relay.workers.*"),
        *("relay.process.log_writer", "relay.console.watching.scrape"),
        *("consumers.kit.metrics", "consumers.kit.program", "consumers.kit.service"),
        *("consumers.SERVICE.endpoint", "consumers.SERVICE.service"),
    },
    "opentelemetry": {"relay.observability.tracing"},
    "cryptography": {"relay.vendors.generic.public_keys"},
    "click": {"relay.process.command", "relay.cli.*", "consumers.kit.program"},
    "rich": {"relay.cli.*"},
    "jinja2": {"relay.console.rendering"},
}


def module_of(path: Path) -> str:
    """Return a module's name: "relay.events.event", of a package that of its folder."""
    return ".".join(part for part in path.with_suffix("").parts if part != "__init__")


PATHS = {
    module_of(path): path
    for top in ("relay", "consumers")
    for path in sorted(Path(top).rglob("*.py"))
}
SERVICES = [
    module.removesuffix(".__main__").removeprefix("consumers.")
    for module in PATHS
    if module.startswith("consumers.") and module.endswith(".__main__")
]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(PATHS[module].read_text())


def room_of(module: str) -> str:
    """Return the room a module is in."""
    path = PATHS[module]
    folder = ".".join(path.parent.parts)
    is_alone = folder in {"relay", "consumers"} and path.name != "__init__.py"
    return module if is_alone else folder


def line_of(room: str) -> str:
    """Return the room's line in the tables."""
    top, _, name = room.partition(".")
    return f"{top}.SERVICE" if top == "consumers" and name in SERVICES else room


@cache
def imported_by(module: str) -> frozenset[str]:
    """Return the full names of all modules it imports, wherever the import stands."""
    return frozenset(imports_in(tree_of(module)))


def imports_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(source)):
                submodules = [f"{source}.{alias.name}" for alias in node.names]
                found = [name for name in submodules if name in PATHS]
                yield from found
                if len(found) < len(submodules):
                    yield source


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in {"relay", "consumers"}


def ours_of(module: str) -> set[str]:
    return {name for name in imported_by(module) if name in PATHS}


def rooms_of(module: str) -> set[str]:
    """Return the other rooms that a module imports."""
    return {room_of(name) for name in ours_of(module)} - {room_of(module)}


def is_pure(module: str) -> bool:
    says_so = " Pure" in (ast.get_docstring(tree_of(module)) or "")
    return room_of(module) in PURE_ROOMS or says_so


def is_in(module: str, patterns: set[str]) -> bool:
    """Return whether one of patterns is for the module."""
    names = [module, re.sub(rf"^consumers\.({'|'.join(SERVICES)})\b", "consumers.SERVICE", module)]
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def is_importing(module: str, library: str) -> bool:
    return any(name.partition(".")[0] == library for name in imported_by(module))


@for_each(module=PATHS)
def test_a_module_imports_what_the_line_of_its_room_allows(module: str) -> None:
    line = line_of(room_of(module))
    assert line in MAY_IMPORT, f"{line} needs a line in the table"

    imported = {line_of(room) for room in rooms_of(module)}

    allowed = set(MAY_IMPORT) if MAY_IMPORT[line] == "*" else set(MAY_IMPORT[line].split())
    assert imported <= allowed


def test_the_table_allows_nothing_that_nobody_needs() -> None:
    needed: dict[str, set[str]] = {}
    for module in PATHS:
        rooms = {line_of(room) for room in rooms_of(module)}
        needed.setdefault(line_of(room_of(module)), set()).update(rooms)

    allowed = {line: set(rooms.split()) for line, rooms in MAY_IMPORT.items() if rooms != "*"}
    assert {line: rooms for line, rooms in needed.items() if MAY_IMPORT[line] != "*"} == allowed


def test_imports_go_in_no_circle() -> None:
    order = TopologicalSorter({module: ours_of(module) for module in PATHS})

    assert {*order.static_order()} == set(PATHS)  # a circle has no order, and it says which


def test_of_the_relay_only_its_commands_and_the_console_know_services() -> None:
    relay = [module for module in PATHS if module.startswith("relay.")]

    rooms = {room_of(name) for name in relay if "consumers." in " ".join(ours_of(name))}
    commands = {"relay.cli.checks", "relay.cli.commands", "relay.cli.documents", "relay.cli.replay"}
    assert rooms == {*commands, "relay.console", "relay.console.feed", "relay.console.triage"}


def test_services_do_not_know_each_other() -> None:
    assert {"archive", "forward", "notify"} <= set(SERVICES)
    for module in PATHS:
        own = room_of(module).removeprefix("consumers.")
        others = {f"consumers.{name}" for name in SERVICES if name != own}
        assert module.startswith(("relay.cli.", "relay.console.")) or not rooms_of(module) & others


@for_each(module=PATHS)
def test_a_pure_module_imports_no_library_that_does_io(module: str) -> None:
    if not is_pure(module):
        return
    allowed = PURE_LIBRARIES | (FINDS_MODULES if module in FINDS_FILES_OF_ITS_PACKAGE else set())

    libraries = {name for name in imported_by(module) if not is_ours(name)}
    assert {name if name in allowed else name.partition(".")[0] for name in libraries} <= allowed


@for_each(module=PATHS)
def test_a_pure_module_reads_no_clock_and_no_file(module: str) -> None:
    if not is_pure(module):
        return
    calls = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]

    names = {call.id for call in calls if isinstance(call, ast.Name)}
    names |= {call.attr for call in calls if isinstance(call, ast.Attribute)}

    reads_its_package = (
        {"read_text", "read_bytes"} if module in FINDS_FILES_OF_ITS_PACKAGE else set()
    )
    assert not names & DOES_IO - reads_its_package


@for_each(library=ONLY_IN)
def test_a_library_is_imported_in_few_modules(library: str) -> None:
    importing = {module for module in PATHS if is_importing(module, library)}

    assert {module for module in importing if not is_in(module, ONLY_IN[library])} == set()
    for pattern in ONLY_IN[library]:
        assert any(is_in(module, {pattern}) for module in importing), f"{pattern} is not needed"


def test_only_the_app_the_console_and_the_commands_read_the_relays_settings() -> None:
    readers = {
        module
        for module in PATHS
        if module.startswith("relay.") and "relay.settings" in ours_of(module)
    }

    own = {module for module in readers if not module.startswith("relay.cli.")}
    assert own == {"relay.app", "relay.configured", "relay.console.deployment"}


def test_the_ingress_reaches_no_broker_and_the_broker_no_outbox() -> None:
    def reached(room: str) -> set[str]:
        found = set(MAY_IMPORT[room].split()) - {room}
        return found.union(*[reached(name) for name in found if name != "relay.events"])

    joins = {"relay.forwarder", "relay.confirm_sink", "relay.app"}
    assert not reached("relay.ingress") & {"relay.broker", "relay.outbox", *joins}
    assert not reached("relay.broker") & {"relay.outbox", "relay.ingress", *joins}


def test_no_module_has_a_name_that_fits_anything() -> None:
    names = {part for module in PATHS for part in module.split(".")}

    assert not names & {"utils", "util", "helpers", "common", "base", "manager", "misc"}
