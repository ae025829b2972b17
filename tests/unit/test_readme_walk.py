"""The walk of one request, in relay/README.md: it is short, and all that it names exists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rows import for_each_row

MAX_LINES = 40
TEXT = Path("relay/README.md").read_text()
WALK = TEXT[TEXT.index("## One request") :].partition("\n## ")[0]
STEPS = re.findall(r"`([a-z_/]+\.py): ([A-Za-z_.]+)`", WALK)
SHORT = re.findall(r"`([A-Z][A-Za-z]+\.[a-z_]+)`", WALK)


def names_in(path: Path) -> Iterator[str]:
    """Yield the functions, classes and methods of a module: "run", "Session", "Session.publish"."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=owner, body=body):
                yield owner
                for member in body:
                    if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield f"{owner}.{member.name}"


def test_the_walk_is_short() -> None:
    assert len(WALK.strip().splitlines()) <= MAX_LINES


@for_each_row(("path", "name"), STEPS)
def test_a_step_names_a_function_of_its_file(path: str, name: str) -> None:
    assert name in set(names_in(Path("relay") / path))


@pytest.mark.parametrize("name", SHORT)
def test_a_step_without_a_file_names_a_function_of_one_before(name: str) -> None:
    assert any(name in set(names_in(Path("relay") / path)) for path, _ in STEPS)


def test_the_walk_goes_from_the_socket_to_the_confirm() -> None:
    assert STEPS[0][0] == "ingress/http_server.py"
    assert ("broker/session.py", "Session._confirm") in STEPS
