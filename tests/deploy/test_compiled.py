"""deploy/compiled/: the wheel with compiled modules, beside the pure one."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from deploy.compiled.build_hook import compile_modules, compiled_modules
from tests.deploy.compiler import QUICKLY, lacks_compiler

ROOT = Path().absolute()
HOOK: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["hooks"]["custom"]
MODULES = compiled_modules(ROOT, HOOK["modules"])
ENABLED = "HATCH_BUILD_HOOK_ENABLE_CUSTOM"
_LIMIT_S = 600

needs_compiler = pytest.mark.skipif(bool(lacks_compiler()), reason=lacks_compiler())

DELIVERIES = """
import sys
from importlib import import_module
from urllib.parse import urlencode

from relay import vendors
from relay.errors import RelayError
from relay.events.message import Origin
from relay.ingress.processing import Source, process_delivery
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import Request

AT = 1_800_000_000.0
HOSTILE = [
    b"", b"{}", b"[]", b"null", b"\\xff", b'{"events": [NaN, {}]}', b"[" * 100_000,
    b'{"data":' * 199 + b"1" + b"}" * 199, b'{"data":' * 5000 + b"1" + b"}" * 5000,
    b'{"event": {"payload": [1, 2.5, null, true, "\\\\ud83d"]}}', b'{"events": [{"event": 7}] }',
    b'{"id": %d}' % 2**70, b'{"a":"\\xed\\xa0\\xbd"}', b"payload=%7B%7D",
]


def deliver(name, code, body, secret):
    source = Source(origin=Origin(vendor=name, source=name), vendor=code, secrets=Secrets(["s"]))
    try:
        request = vendors.sign(code, body, secret, AT).as_received(AT)
        return process_delivery(request, source, AT, "1")
    except (RelayError, ValueError) as error:
        return repr(error), getattr(error, "reason", "")


for name, code in vendors.discover().items():
    for body in [*(sample.read_bytes() for sample in vendors.samples(name)), *HOSTILE]:
        for secret in ("s", "wrong"):
            found = deliver(name, code, body, secret)
            failure = getattr(found, "failure", None)
            assert failure is None, failure
            print(name, found)
for module in sys.argv[1:]:
    print(import_module(module).__file__, file=sys.stderr)
"""

PRIVATE = """
from relay.events.event import NormalizedEvent
from relay.vendors import Vendor
from relay.vendors.kit.authentication import require_signature, signature_of
from relay.vendors.kit.batches import read_element, understand_each
from relay.vendors.kit.fields import actor, mapping, without_empty
from relay.vendors.kit.request import OutgoingRequest, Request


class Private(Vendor):
    TYPES = frozenset({"message.created"})

    def authenticate(self, request, secrets):
        require_signature(request.headers.get("x-mine"), iter([request.body]), secrets)

    def normalize(self, request):
        return understand_each([read_element(request.body)], self._event)

    def _event(self, value, raw):
        if mapping(value).get("bug"):
            raise LookupError("of the private vendor")
        data = without_empty(actor=actor("contact", value["from"]))
        return NormalizedEvent(type="unrecognized", vendortype="x", data=data, raw=raw)

    def sign(self, body, secret):
        return OutgoingRequest(body=body, headers={"X-Mine": signature_of(body, secret)})


from relay.events.message import Origin
from relay.ingress.processing import Source, process_delivery
from relay.vendors.kit.authentication import Secrets

origin = Origin(vendor="private", source="mine")
source = Source(origin=origin, vendor=Private(), secrets=Secrets(["s"]))
for body in (b'{"from": 7}', b'{"bug": 1}', b'{"from": {}, "bug": 0}'):
    delivery = Private().sign(body, "s").as_received(0.0)
    processed = process_delivery(delivery, source, 0.0, "1")
    print([(message.id, message.body) for message in processed.messages], processed.reason)
    print((processed.failure or {}).get("error"))
"""


def tree(module: str) -> ast.Module:
    return ast.parse(Path(module).read_text())


def build(directory: Path, *, is_compiled: bool) -> None:
    """Build a wheel as `make dist` does."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(directory)],
        env=os.environ | QUICKLY | {ENABLED: str(is_compiled).lower()},
        check=True,
        capture_output=True,
        timeout=_LIMIT_S,
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, image_wheel: Path) -> dict[bool, Path]:
    """The wheels by whether they are compiled; the image's, if this run has built it already."""
    directories = {False: tmp_path_factory.mktemp("pure"), True: image_wheel}
    build(directories[False], is_compiled=False)
    if not image_wheel.exists():
        directories[True] = tmp_path_factory.mktemp("compiled")
        build(directories[True], is_compiled=True)
    return {is_compiled: next(found.glob("*.whl")) for is_compiled, found in directories.items()}


@pytest.fixture(scope="module")
def installed(
    wheels: dict[bool, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Path]:
    found: dict[bool, Path] = {}
    for is_compiled, wheel in wheels.items():
        found[is_compiled] = tmp_path_factory.mktemp("installed")
        command = [sys.executable, "-m", "uv", "pip", "install", "--no-config", "--no-deps"]
        command += ["--python", sys.executable, "--target", str(found[is_compiled]), str(wheel)]
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)
    return found


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with what is installed there, and nothing of this checkout."""
    done = subprocess.run(
        [sys.executable, "-P", *words],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_new_vendor_is_compiled_without_being_named() -> None:
    vendors = {path.as_posix() for path in Path("relay/vendors").glob("*.py")}

    assert vendors - {"relay/vendors/__init__.py"} <= set(MODULES)


@pytest.mark.parametrize("pattern", ["relay/vendors/nobody.py", "relay/*/nothing_*.py"])
def test_a_name_that_is_no_module_any_more_is_refused(pattern: str) -> None:
    with pytest.raises(RuntimeError, match="matches no file"):
        compiled_modules(ROOT, [*HOOK["modules"], pattern])


def test_nothing_else_says_what_is_compiled() -> None:
    dotted = [module.removesuffix(".py").replace("/", ".") for module in MODULES]
    texts = [Path(name).read_text() for name in ("Makefile", "deploy/container/Dockerfile")]
    texts += [path.read_text() for path in Path("deploy/compiled").glob("*.py")]

    named = [name for name in (*MODULES, *dotted) for text in texts if name in text]
    assert named == []


def values_in(module: str) -> Iterator[ast.ClassDef]:
    """Yield the classes of which mypyc would make something else: see pyproject.toml."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            if node.decorator_list or bases - {"NamedTuple"}:
                yield node


@pytest.mark.parametrize("module", MODULES)
def test_what_is_compiled_has_no_class_that_would_change_by_it(module: str) -> None:
    assert [node.name for node in values_in(module)] == []


@needs_compiler
@pytest.mark.parametrize(
    "code",
    [
        "def two(n: int) -> list[int]:\n    lazy = (each for each in range(n))\n    return [*lazy]",
        "def text() -> str:\n    return 'a' + 1",
        "class Number(int):\n    pass",
    ],
)
def test_what_would_do_something_else_compiled_fails_the_build(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in QUICKLY.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "odd.py").write_text(code + "\n")

    with pytest.raises(RuntimeError, match=r"(?s)does not take this code as it is:\n.*odd\.py"):
        compile_modules(["odd.py"], tmp_path)


@needs_compiler
def test_a_wheel_is_pure_unless_it_is_asked_for(wheels: dict[bool, Path]) -> None:
    with zipfile.ZipFile(wheels[False]) as pure, zipfile.ZipFile(wheels[True]) as compiled:
        libraries = {name for name in compiled.namelist() if name.endswith(".so")}
        sources = {name for name in compiled.namelist() if name.startswith("relay/")} - libraries
        pure_names = {name for name in pure.namelist() if name.startswith("relay/")}

    (tag,) = parse_wheel_filename(wheels[True].name)[3]
    assert wheels[False].name.endswith("-py3-none-any.whl")
    assert tag in set(sys_tags())
    assert tag.platform != "any"
    assert sources == pure_names
    beside = {re.sub(r"\.[^/]*\.so$", ".py", name) for name in libraries if "/" in name}
    assert sorted(beside) == MODULES
    assert len(libraries) == len(MODULES) + 1  # which all of them share
    assert not list(Path("relay").rglob("*.so"))  # would be imported instead of what one edits


@needs_compiler
def test_compiled_it_makes_the_same_of_every_delivery(installed: dict[bool, Path]) -> None:
    names = [module.removesuffix(".py").replace("/", ".") for module in MODULES]

    pure, compiled = (run(installed[each], "-c", DELIVERIES, *names) for each in (False, True))

    assert all(line.endswith(".py") for line in pure.stderr.splitlines())
    assert all(line.endswith(".so") for line in compiled.stderr.splitlines())
    assert len(compiled.stderr.splitlines()) == len(MODULES)
    assert compiled.stdout.splitlines() == pure.stdout.splitlines()
    assert compiled.stdout.count("Message(") > 200
    assert compiled.stdout.count("Unauthenticated(") > 200


@needs_compiler
def test_a_vendor_of_ones_own_works_with_it(installed: dict[bool, Path]) -> None:
    pure, compiled = (run(installed[each], "-c", PRIVATE) for each in (False, True))

    assert compiled.stdout == pure.stdout
    assert "LookupError" not in compiled.stdout.splitlines()[1]
    assert "LookupError" in compiled.stdout.splitlines()[3]


@needs_compiler
def test_the_version_says_whether_it_is_compiled(installed: dict[bool, Path]) -> None:
    pure, compiled = (run(installed[each], "-m", "relay", "--version") for each in (False, True))

    assert compiled.stdout.strip() == pure.stdout.strip() + ", compiled"
