"""Who may import whom. Change a table here only on purpose.

`MAY_IMPORT` is in the order of the layers: a module imports modules of lines above its own.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay import vendors

ROOT = Path("relay")
MAY_IMPORT = {
    # Pure: values, names, formats.
    "errors": "",
    "event": "",
    "clocks": "",
    "request": "",
    "topology": "",
    "amqp": "",
    "authentication": "errors",
    "jsontext": "errors",
    "redaction": "",
    "envelope": "amqp clocks errors event redaction topology",
    "vendors": "authentication event request",
    "vendors._*": "authentication clocks errors event jsontext request vendors._*",
    "vendors.*": "authentication clocks errors event jsontext request vendors._*",
    "caller": "",
    "delivery": "authentication caller envelope errors jsontext redaction request vendors",
    # What the process is made of.
    "aside": "authentication delivery envelope errors request vendors",
    "logs": "clocks",
    "tallies": "",
    "metrics": "event tallies",
    "settings": "errors vendors",
    "outbox_file": "",
    "outbox_db": "envelope errors outbox_file",
    "outbox_place": "errors outbox_db outbox_file",
    "outbox_layout": "outbox_db",
    "outbox_stats": "errors outbox_db outbox_layout",
    "backoff": "",
    "sink": "envelope",
    "outbox": "errors outbox_db outbox_place outbox_stats sink",
    "outbox_takeover": "errors outbox outbox_db outbox_layout outbox_stats",
    "tracing": "amqp backoff envelope",
    "amqp_decoding": "",
    "broker": "amqp_decoding errors topology",
    "session": "amqp broker envelope errors metrics tracing",
    "reconnecting": "errors",
    "publisher": "broker envelope errors metrics reconnecting session topology tracing",
    "direct": "envelope errors session sink",
    "forwarder": "backoff envelope errors outbox outbox_db session",
    "http_answer": "delivery errors request",
    "http_body": "errors",
    "http_server": "backoff errors http_answer",
    "ingress": "aside caller delivery envelope errors http_answer http_body http_server metrics"
    " request sink tracing",
    "probes": "",
    "admin": "errors metrics outbox_stats probes publisher",
    "process": "errors",
    "service_manager": "process",
    "worker": "",
    "app": "admin aside authentication delivery direct envelope errors forwarder http_server"
    " ingress metrics outbox outbox_layout outbox_takeover process publisher service_manager"
    " settings topology"
    " tracing vendors worker",
    # What holds several processes together.
    "shared_port": "errors",
    "metrics_sum": "",
    "worker_process": "errors worker",
    "supervisor_admin": "metrics metrics_sum probes worker_process",
    "supervisor": "backoff errors process service_manager shared_port supervisor_admin worker"
    " worker_process",
    # What others are told of the events.
    "schemas": "event",
    "asyncapi": "amqp schemas topology",
    "cli.*": "*",
    "cli": "cli.*",
    "__main__": "cli cli.*",
    "__init__": "",
}
PURE = list(MAY_IMPORT)[: list(MAY_IMPORT).index("delivery") + 1]

# All that a pure module needs of others. None of it reads a clock, a file or the environment.
PURE_LIBRARIES = {
    *("codecs", "collections", "collections.abc", "contextlib", "dataclasses", "datetime"),
    *("functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "math", "re", "struct"),
    *("traceback", "types", "typing", "urllib.parse", "orjson", "pamqp", "pamqp.common"),
}
FINDS_MODULES = {"importlib", "importlib.resources", "importlib.resources.abc", "pkgutil"}
IMPURE_NAMES = {
    "now",
    "utcnow",
    "today",
    "open",
    "print",
    "input",
    "environ",
    "getenv",
    "read_text",
}

ONLY_IN = {
    "aiohttp": {
        *("admin", "app", "http_answer", "http_body", "http_server", "ingress", "probes"),
        *("process", "supervisor", "supervisor_admin", "cli.client"),
    },
    "aio_pika": {"broker", "publisher", "session", "cli.*"},
    "aiormq": {"broker", "session"},
    "sqlite3": {"outbox", "outbox_db", "outbox_place", "outbox_stats", "outbox_takeover"},
    "pydantic": {"settings"},
    "pydantic_settings": {"settings"},
    "prometheus_client": {
        *("admin", "app", "metrics", "metrics_sum", "probes", "supervisor_admin", "tallies"),
    },
    "opentelemetry": {"tracing"},
    "click": {"cli.*"},
    "rich": {"cli.*"},
}


def module_of(path: Path) -> str:
    """Return a module's name within the package: "event", "vendors.acquire", "vendors"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)


TREES = {module_of(path): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}


def kind_of(module: str) -> str:
    """Return the module's line in the tables."""
    if module in MAY_IMPORT:
        return module
    package, _, name = module.rpartition(".")
    if f"{package}._*" in MAY_IMPORT and name.startswith("_"):
        return f"{package}._*"
    return f"{package}.*"


def imported_by(module: str) -> Iterator[str]:
    """Yield the full names of all modules it imports, wherever the import stands."""
    known = {f"relay.{name}" for name in TREES}
    for node in ast.walk(TREES[module]):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(source)):
                submodules = [f"{source}.{alias.name}" for alias in node.names]
                found = [name for name in submodules if name in known]
                yield from found
                if len(found) < len(submodules):
                    yield source


def relatives_of(module: str) -> set[str]:
    names = [name.removeprefix("relay.") for name in imported_by(module) if is_ours(name)]
    return {name for name in names if name in TREES}


def is_ours(name: str) -> bool:
    return name == "relay" or name.startswith("relay.")


every_module = pytest.mark.parametrize("module", TREES)


@every_module
def test_a_module_imports_what_its_line_allows_and_nothing_below_it(module: str) -> None:
    kind = kind_of(module)
    assert kind in MAY_IMPORT, f"{module} needs a line in the table"
    allowed, layers = MAY_IMPORT[kind].split(), list(MAY_IMPORT)

    imported = {kind_of(name) for name in relatives_of(module)}

    above = {*layers[: layers.index(kind)], *([kind] if kind.endswith("*") else [])}
    assert imported <= above
    assert imported <= (above if allowed == ["*"] else set(allowed))


def test_the_table_has_no_line_for_what_is_gone() -> None:
    assert set(MAY_IMPORT) == {kind_of(module) for module in TREES}
    assert set(ONLY_IN) <= {name.partition(".")[0] for it in TREES for name in imported_by(it)}


@pytest.mark.parametrize("module", [it for it in TREES if kind_of(it) in PURE])
def test_a_pure_module_imports_no_library_that_does_io(module: str) -> None:
    allowed = PURE_LIBRARIES | (FINDS_MODULES if module == "vendors" else set())

    assert {name for name in imported_by(module) if not is_ours(name)} <= allowed


@pytest.mark.parametrize("module", [it for it in TREES if kind_of(it) in PURE])
def test_a_pure_module_reads_no_clock_and_no_file(module: str) -> None:
    nodes = list(ast.walk(TREES[module]))

    names = {it.id for it in nodes if isinstance(it, ast.Name)}
    names |= {it.attr for it in nodes if isinstance(it, ast.Attribute)}

    assert not names & IMPURE_NAMES


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_in_few_modules(library: str) -> None:
    importing = {it for it in TREES for name in imported_by(it) if name.split(".")[0] == library}

    assert {kind_of(it) if it not in ONLY_IN[library] else it for it in importing} <= ONLY_IN[
        library
    ]


def test_only_the_app_and_the_commands_read_settings() -> None:
    readers = {module for module in TREES if "settings" in relatives_of(module)}

    assert {it for it in readers if not it.startswith("cli.")} == {"app"}


def test_the_ingress_knows_no_publisher_and_the_publisher_no_outbox() -> None:
    def reached(module: str) -> set[str]:
        found = relatives_of(module)
        return found.union(*map(reached, found))

    assert not reached("ingress") & {"publisher", "session", "broker", "forwarder", "outbox"}
    assert not reached("publisher") & {"outbox", "outbox_db", "forwarder", "ingress"}


def test_no_module_has_a_name_that_fits_anything() -> None:
    names = {part for module in TREES for part in module.split(".")}

    assert not names & {"utils", "util", "helpers", "common", "base", "manager", "misc"}
    assert not names - {"vendors", "topology"} & sys.stdlib_module_names - {"__main__", "inspect"}


def words_of(tree: ast.AST) -> Iterator[str]:
    """Yield what the code says: identifiers and texts, but neither comments nor docstrings."""
    docstrings = {id(it.value) for it in ast.walk(tree) if isinstance(it, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield text
            case ast.Name(id=name) | ast.alias(name=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name


@pytest.mark.parametrize("module", [it for it in TREES if not it.startswith("vendors.")])
def test_nothing_outside_its_file_knows_a_vendors_name(module: str) -> None:
    names = {*vendors.discover(), "wotnot", "picky", "channel_talk", "support_hunt"}

    said = [it.lower() for it in words_of(TREES[module]) if "such as [sources." not in it]

    assert [it for it in said if any(name in it for name in names)] == []
