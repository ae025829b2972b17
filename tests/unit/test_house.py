"""How large things may be, and what they may be called: beyond it a reader loses the thread."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

MAX_MODULES_PER_FOLDER = 20
MAX_LINES_PER_MODULE = 350
MAX_LINES_PER_FUNCTION = 50
MAX_NOQA_PER_1000_LINES = 2

PRODUCT = sorted([*Path("relay").rglob("*.py"), *Path("consumers").rglob("*.py")])
EVERYTHING = sorted([*PRODUCT, *Path("deploy").rglob("*.py"), *Path("tests").rglob("*.py")])

every_file = pytest.mark.parametrize("path", EVERYTHING, ids=str)


@pytest.mark.parametrize("folder", sorted({path.parent for path in EVERYTHING}), ids=str)
def test_a_folder_has_no_more_modules_than_one_sees(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]

    assert len(modules) <= MAX_MODULES_PER_FOLDER


@every_file
def test_a_module_and_its_functions_are_no_longer_than_one_reads(path: Path) -> None:
    text = path.read_text()

    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}

    assert len(text.splitlines()) <= MAX_LINES_PER_MODULE
    assert {name: n for name, n in lengths.items() if n > MAX_LINES_PER_FUNCTION} == {}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield all names that a module gives to something."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


@every_file
def test_a_variable_is_named_after_what_it_holds(path: Path) -> None:
    names = set(names_in(ast.parse(path.read_text())))

    assert "it" not in names
    superlatives = r"_?(MOST|LONGEST|LEAST|LARGEST|FEWEST|LOWEST|SMALLEST|GREATEST)_"
    assert [name for name in names if re.match(superlatives, name)] == []


@every_file
def test_prose_says_return_whether(path: Path) -> None:
    assert "Tell " + "whether" not in path.read_text()


def test_a_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in PRODUCT:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(str(path))

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_few_rules_are_switched_off_and_each_with_its_reason() -> None:
    lines = [line for path in PRODUCT for line in path.read_text().splitlines()]
    silenced = [line for line in lines if "# noqa" in line]

    without_reason = [line for line in silenced if not re.search(r"# noqa: [A-Z0-9, ]+  \S", line)]
    assert without_reason == []
    assert len(silenced) <= len(lines) / 1000 * MAX_NOQA_PER_1000_LINES, Counter(
        code for line in silenced for code in re.findall(r"[A-Z]+[0-9]+", line.partition("noqa")[2])
    )
