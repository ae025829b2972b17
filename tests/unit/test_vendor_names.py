"""Who knows the names of vendors: they themselves, and nobody else."""

import ast
import re
from collections.abc import Iterable, Iterator

from relay import vendors
from tests.support.rows import for_each
from tests.unit.test_layout import OF_VENDORS, PATHS, room_of, tree_of

EVERYDAY_WORDS = {"line", "meta"}
"""Vendors whose names are no sign that somebody knows the vendor."""


def words_of(tree: ast.AST) -> Iterator[str]:
    """Yield what the code says: identifiers and texts, but neither comments nor docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
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


def any_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(names)})(?![a-z])")  # a lock is acquired


VENDORS = {*vendors.discover(), "wotnot", "picky", "channel_talk", "support_hunt"}
PLACES = {rf"(?:vendors|sources)[./]{name}" for name in EVERYDAY_WORDS}
NAME = any_of(VENDORS - EVERYDAY_WORDS | PLACES)


@for_each(module=[module for module in PATHS if room_of(module) not in OF_VENDORS])
def test_nothing_outside_its_file_knows_a_vendors_name(module: str) -> None:
    said = [word.lower() for word in words_of(tree_of(module)) if "such as [sources." not in word]

    assert [word for word in said if NAME.search(word)] == []
