"""Who may import whom in consumers/. Change a table here only on purpose.

A module of the kit has a line of its own. A service and its parts need none: what they may do
follows from their names, so that a new service is a new file and nothing else.
"""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from relay import vendors
from tests.unit.test_layout import PURE_LIBRARIES, words_of

# What a module may import of ours. `kit` alone is what the kit offers to a service.
MAY_IMPORT = {
    # Pure: values, decisions, names, formats.
    "kit.errors": "relay.errors",
    "kit.decision": "kit.errors",
    "kit.handover": "relay.events.timestamps",
    "kit.event": "kit.errors kit.handover relay.events.timestamps relay.events.event",
    "kit.topology": "relay.events.topology",
    "kit.consumer": "kit.event relay.events.topology",
    "kit.delivery": "kit.errors kit.event kit.handover",
    "kit.acknowledgements": "",
    "kit.key": "",
    "kit.database_url": "",
    # What the kit is made of.
    "kit.lanes": "",
    "kit.metrics": "",
    "kit.settings": "kit.consumer relay.errors relay.settings",
    "kit.own_thread": "",
    "kit.postgres_url": "",
    "kit.seen_dialect": "kit.database_url kit.postgres_url",
    "kit.seen_database": "kit.consumer kit.errors kit.event kit.seen_dialect relay.settings",
    "kit.seen": "kit.consumer kit.errors kit.event kit.key kit.own_thread kit.seen_database",
    "kit.once": "kit.decision kit.delivery kit.errors kit.event kit.seen",
    "kit.handling": "kit.consumer kit.errors kit.event kit.seen",
    "kit.traced": "kit.event kit.handling relay.observability.tracing",
    "kit.inbox": "kit.acknowledgements kit.delivery relay.broker.connection relay.errors relay.broker.reconnect",
    "kit.transfer": "kit.decision kit.delivery kit.handover kit.topology relay.confirm_sink"
    " relay.events.envelope relay.errors",
    "kit.workers": "kit.decision kit.delivery kit.errors kit.event kit.handling kit.inbox kit.lanes"
    " kit.metrics kit.once kit.seen kit.transfer relay.confirm_sink relay.errors",
    "kit.bindings": "kit.topology relay.broker.connection relay.errors relay.events.topology",
    "kit.subscription": "kit.bindings kit.consumer kit.inbox kit.workers"
    " relay.broker.connection relay.errors"
    " relay.broker.reconnect relay.events.topology",
    "kit.service": "kit.consumer kit.errors kit.handling kit.metrics kit.seen kit.seen_database"
    " kit.settings kit.subscription kit.topology kit.traced kit.workers relay.confirm_sink relay.errors"
    " relay.observability.metrics relay.observability.probes relay.process relay.broker.publisher"
    " relay.process.systemd relay.events.topology relay.observability.tracing",
    "kit.main": "kit.consumer kit.service kit.settings relay.cli.main relay.observability.logs",
    "kit.testing": "kit.consumer kit.decision kit.event kit.handling kit.seen kit.seen_database"
    " kit.settings relay.events.envelope relay.vendors.kit.request relay.vendors",
    "kit": "kit.consumer kit.errors kit.event kit.main kit.settings",
    # The services, and their parts.
    "*": "* kit kit.database_url kit.decision kit.errors kit.event kit.key kit.own_thread"
    " kit.postgres_url kit.settings"
    " relay.events.timestamps relay.events.envelope relay.errors relay.events.event relay.settings",
    "__init__": "",
}
PURE = list(MAY_IMPORT)[: list(MAY_IMPORT).index("kit.database_url") + 1]

# Beside what pure modules of the relay need. None of it reads a clock, a file or the environment.
MORE_PURE_LIBRARIES = {
    *("base64", "binascii", "email.utils", "enum", "html", "http", "inspect", "pathlib", "yarl"),
}
DOES_IO = {
    *("now", "utcnow", "today", "print", "input", "open", "read_text", "read_bytes"),
    *("write_text", "write_bytes", "exists", "is_file", "is_dir", "mkdir", "stat", "unlink"),
}

# `SERVICE` stands for every service.
ONLY_IN = {
    "aiohttp": {"kit.service", "*_endpoint", "*_webhook"},
    "aio_pika": {"kit.bindings"},
    "aiormq": {"kit.inbox"},
    "sqlite3": {"kit.seen_dialect", "*_sqlite"},
    "psycopg": {"kit.postgres_url", "kit.seen_dialect", "*_postgres"},
    "pydantic": {"kit.settings", "SERVICE"},
    "prometheus_client": {"kit.main", "kit.metrics", "kit.service", "*_endpoint", "SERVICE"},
    "click": {"kit.main"},
}


def module_of(path: Path) -> str:
    """Return a module's name, of consumers' without the package: "kit.event", "relay.events.event"."""
    parts = [it for it in path.with_suffix("").parts if it != "__init__"]
    return ".".join(parts[parts[0] == "consumers" :]) or "__init__"


TREES = {
    module_of(path): ast.parse(path.read_text())
    for package in ("consumers", "relay")
    for path in sorted(Path(package).rglob("*.py"))
}
CONSUMERS = [it for it in TREES if it.split(".")[0] != "relay"]
SERVICES = [
    it
    for it in CONSUMERS
    if any(ast.unparse(node) == "__name__ == '__main__'" for node in ast.walk(TREES[it]))
]


def kind_of(module: str) -> str:
    """Return the module's line in the tables."""
    is_in_kit = module.partition(".")[0] == "kit"
    return module if is_in_kit or module in MAY_IMPORT else "*"


def imported_by(module: str) -> Iterator[str]:
    """Yield the names of all modules it imports, wherever the import stands."""
    for node in ast.walk(TREES[module]):
        match node:
            case ast.Import():
                yield from (short(alias.name) for alias in node.names)
            case ast.ImportFrom(module=str(source)):
                names = [short(f"{source}.{alias.name}") for alias in node.names]
                found = [name for name in names if name in TREES]
                yield from found
                if len(found) < len(names):
                    yield short(source)


def short(name: str) -> str:
    return name.removeprefix("consumers.")


def relatives_of(module: str) -> set[str]:
    return {name for name in imported_by(module) if name in TREES}


def is_in(module: str, patterns: set[str]) -> bool:
    """Tell whether one of patterns is for the module; `SERVICE` is for every service."""
    is_service = module in SERVICES and "SERVICE" in patterns
    return is_service or any(fnmatchcase(module, pattern) for pattern in patterns)


every_module = pytest.mark.parametrize("module", CONSUMERS)


@every_module
def test_a_module_imports_what_its_line_allows(module: str) -> None:
    kind = kind_of(module)
    assert kind in MAY_IMPORT, f"{module} needs a line in the table"
    allowed = MAY_IMPORT[kind].split()

    imported = relatives_of(module)

    assert {it for it in imported if it.startswith("relay.")} <= set(allowed)
    assert {kind_of(it) for it in imported if not it.startswith("relay.")} <= set(allowed)


def test_imports_point_one_way() -> None:
    order = TopologicalSorter({it: relatives_of(it) & set(CONSUMERS) for it in CONSUMERS})

    assert {*order.static_order()} == set(CONSUMERS)  # a circle has no order, and it says which


def test_the_table_has_no_line_for_what_is_gone() -> None:
    assert set(MAY_IMPORT) == {kind_of(module) for module in CONSUMERS}
    for library, patterns in ONLY_IN.items():
        importing = {it for it in CONSUMERS if library in libraries_of(it)}
        assert all(any(is_in(it, {pattern}) for it in importing) for pattern in patterns), library


def test_there_are_services() -> None:
    assert {"archive", "forward", "notify"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_named_after_a_service_belongs_to_it(service: str) -> None:
    parts = {it for it in CONSUMERS if it == service or it.startswith(f"{service}_")}

    importing = {it for it in CONSUMERS if relatives_of(it) & parts}

    assert importing <= parts


def test_of_the_relay_only_its_commands_know_consumers() -> None:
    importing = {it for it in TREES if it not in CONSUMERS and relatives_of(it) & set(CONSUMERS)}

    assert {it for it in importing if not it.startswith("relay.cli.")} == set()


def calls_itself_pure(module: str) -> bool:
    return " Pure" in (ast.get_docstring(TREES[module]) or "")


PURE_MODULES = [it for it in CONSUMERS if it in PURE or calls_itself_pure(it)]


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_no_library_that_does_io(module: str) -> None:
    libraries = {it for it in imported_by(module) if it.split(".")[0] not in {"kit", "relay"}}

    assert libraries - set(CONSUMERS) <= PURE_LIBRARIES | MORE_PURE_LIBRARIES


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_reads_no_clock_and_no_file(module: str) -> None:
    calls = [it.func for it in ast.walk(TREES[module]) if isinstance(it, ast.Call)]

    names = {it.id for it in calls if isinstance(it, ast.Name)}
    names |= {it.attr for it in calls if isinstance(it, ast.Attribute)}

    assert not names & DOES_IO


def libraries_of(module: str) -> set[str]:
    return {name.split(".")[0] for name in imported_by(module)} - set(CONSUMERS)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_in_few_modules(library: str) -> None:
    importing = {it for it in CONSUMERS if library in libraries_of(it)}

    assert {it for it in importing if not is_in(it, ONLY_IN[library])} == set()


def test_no_module_has_a_name_that_fits_anything() -> None:
    names = {part for module in CONSUMERS for part in module.split(".")}

    assert not names & {"utils", "util", "helpers", "common", "base", "manager", "misc"}
    assert not names & sys.stdlib_module_names


@every_module
def test_no_consumer_knows_a_vendors_name(module: str) -> None:
    said = {word for it in words_of(TREES[module]) for word in re.findall("[a-z]+", it.lower())}

    assert not said & set(vendors.discover())
