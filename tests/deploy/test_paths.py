"""What the files in deploy/ and .github/, and the Makefile, name in this repository is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PATH = re.compile(r"(?<![\w/.-])(?:deploy|tests|relay|consumers|\.ci|\.github)/[\w./-]*\w")
MODULE = re.compile(r"python3? -m ((?:deploy|tests|relay|consumers)(?:\.\w+)*)")
MADE_BY_THEM = {Path("deploy/compose/secrets")}
TEXTS = [
    path
    for path in [*Path("deploy").rglob("*"), *Path(".github").rglob("*"), Path("Makefile")]
    if path.is_file()
    and path.suffix not in {".png", ".pyc", ".json", ".lock"}
    and not path.is_relative_to("deploy/compose/secrets")
]


def missing(text: str, near: Path) -> Iterator[str]:
    """Yield paths and modules in a text that are neither here nor below the folder near it."""
    for name in PATH.findall(text):
        if Path(name) not in MADE_BY_THEM and not any(
            (folder / name).exists() for folder in (Path(), near)
        ):
            yield name
    for name in MODULE.findall(text):
        path = Path(*name.split("."))
        if not path.with_suffix(".py").exists() and not (path / "__init__.py").exists():
            yield name


@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_what_is_named_is_there(path: Path) -> None:
    assert [*missing(path.read_text(), path.parent)] == []


def test_what_is_gone_is_found() -> None:
    text = "sh deploy/local/gone.sh; .venv/bin/python -m tests.gone.run deploy/local/setup.sh."

    assert [*missing(text, Path("deploy"))] == ["deploy/local/gone.sh", "tests.gone.run"]
