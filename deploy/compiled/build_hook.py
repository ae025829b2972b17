"""Compile the code of each delivery's way with mypyc, for a wheel that asks for it.

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true pip wheel --no-deps .

Without that variable nothing here runs, and the wheel is pure Python. `modules` in pyproject.toml
says what is compiled. The sources stay in the wheel: for tracebacks, and for people. Compiling is
done in a copy: a library left in the checkout would be imported there instead of the module that
one edits.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGE = "relay"
_SETTINGS = "[mypy]\nignore_missing_imports = true\n"
"""`make lint` checks types. The libraries need not be there to compile what uses them."""
_PROBLEM = re.compile(r"^\S+\.py:\d+: (?:error|warning): .*$", re.MULTILINE)
_MAX_SHOWN_CHARACTERS = 4_000


class CompilingHook(BuildHookInterface[Any]):
    """Adds the libraries of compiled modules to a wheel, beside their sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what to add.

        Raises:
            RuntimeError: something can't be compiled, or would do something else than before.
        """
        if version == "editable":
            return
        modules = compiled_modules(Path(self.root), self.config["modules"])
        self._copy = tempfile.TemporaryDirectory()
        place = Path(self._copy.name)
        shutil.copytree(
            Path(self.root, _PACKAGE),
            place / _PACKAGE,
            ignore=shutil.ignore_patterns("__pycache__", "samples"),
        )
        compile_modules(modules, place)
        for library in (*place.glob("*.so"), *place.glob(f"{_PACKAGE}/**/*.so")):
            build_data["force_include"][str(library)] = str(library.relative_to(place))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's signature
        """Remove the copy."""
        if version != "editable":
            self._copy.cleanup()


def compiled_modules(root: Path, patterns: Iterable[str]) -> list[str]:
    """Return the files to compile, in order.

    Args:
        root: of the checkout.
        patterns: such as `relay/vendors/*.py`; packages' `__init__.py` are never among the files.

    Raises:
        RuntimeError: a pattern matches nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        files = [path for path in root.glob(pattern) if path.name != "__init__.py"]
        if not files:
            raise RuntimeError(f"modules in pyproject.toml: {pattern} matches no file.")
        found.update(path.relative_to(root).as_posix() for path in files)
    return sorted(found)


def compile_modules(modules: list[str], place: Path) -> None:
    """Compile files of a folder, and put their libraries beside them.

    Raises:
        RuntimeError: one can't be compiled, or mypyc warns that it would do something else then,
            such as take all of a generator expression at once.
    """
    settings = place / "mypy.ini"
    settings.write_text(_SETTINGS)
    done = subprocess.run(  # noqa: S603  our own Python, and names out of pyproject.toml
        [sys.executable, "-m", "mypyc", "--config-file", settings.name, *modules],
        cwd=place,
        env=os.environ | {"LDFLAGS": "-Wl,--strip-debug"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    problems = "\n".join(_PROBLEM.findall(done.stdout))
    if done.returncode or problems:
        shown = problems or done.stdout[-_MAX_SHOWN_CHARACTERS:]
        raise RuntimeError(f"mypyc does not take this code as it is:\n{shown}")
