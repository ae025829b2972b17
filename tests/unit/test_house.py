"""How large things may be, and what they may be called: beyond it a reader loses the thread."""

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.rows import for_each

MAX_MODULES_PER_FOLDER = 20
MAX_LINES_PER_MODULE = 350
MAX_LINES_PER_FUNCTION = 50
MAX_NOQA_PER_1000_LINES = 2

PRODUCT = sorted([*Path("relay").rglob("*.py"), *Path("consumers").rglob("*.py")])
EVERYTHING = sorted([*PRODUCT, *Path("deploy").rglob("*.py"), *Path("tests").rglob("*.py")])


@for_each(folder=sorted({path.parent for path in EVERYTHING}))
def test_a_folder_has_no_more_modules_than_one_sees(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]

    assert len(modules) <= MAX_MODULES_PER_FOLDER


@for_each(path=EVERYTHING)
def test_a_module_is_no_longer_than_one_reads(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES_PER_MODULE


class Definitions(NamedTuple):
    """What a module defines; a tree of the whole module is too large to keep."""

    classes: set[str]
    names: set[str]
    lines_of_functions: dict[str, int]


@cache
def definitions_in(path: Path) -> Definitions:
    tree = ast.parse(path.read_text())
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    found = Definitions(classes, names=set(), lines_of_functions={})
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                found.names.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                lines = (node.end_lineno or 0) - node.lineno + 1
                found.lines_of_functions[name] = max(lines, found.lines_of_functions.get(name, 0))
    return found


@for_each(path=EVERYTHING)
def test_a_function_is_no_longer_than_one_reads(path: Path) -> None:
    lines_of_functions = definitions_in(path).lines_of_functions

    assert {name: n for name, n in lines_of_functions.items() if n > MAX_LINES_PER_FUNCTION} == {}


@for_each(path=EVERYTHING)
def test_a_variable_is_named_after_what_it_holds(path: Path) -> None:
    names = definitions_in(path).names

    assert "it" not in names
    superlatives = r"_?(MOST|LONGEST|LEAST|LARGEST|FEWEST|LOWEST|SMALLEST|GREATEST)_"
    assert [name for name in names if re.match(superlatives, name)] == []


@for_each(path=EVERYTHING)
def test_prose_says_return_whether(path: Path) -> None:
    assert "Tell " + "whether" not in path.read_text()


def test_a_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in PRODUCT:
        for name in definitions_in(path).classes:
            places[name.lstrip("_")].append(str(path))

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_few_rules_are_switched_off_and_each_with_its_reason() -> None:
    lines = [line for path in PRODUCT for line in path.read_text().splitlines()]
    silenced = [line for line in lines if "# noqa" in line]

    without_reason = [line for line in silenced if not re.search(r"# noqa: [A-Z0-9, ]+  \S", line)]
    assert without_reason == []
    assert len(silenced) <= len(lines) / 1000 * MAX_NOQA_PER_1000_LINES, Counter(
        code for line in silenced for code in re.findall(r"[A-Z]+[0-9]+", line.partition("noqa")[2])
    )
