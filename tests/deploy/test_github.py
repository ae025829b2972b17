""".github/: its files are what GitHub takes."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

FORMS = sorted(Path(".github/ISSUE_TEMPLATE").glob("*.yml"))


def schema(name: str) -> Draft7Validator:
    """Return a schema that check-jsonschema brings."""
    text = (files("check_jsonschema.builtin_schemas.vendor") / f"{name}.json").read_text()
    return Draft7Validator(json.loads(text))


@pytest.mark.parametrize("path", FORMS, ids=str)
def test_the_forms_for_issues_are_forms(path: Path) -> None:
    kind = "github-issue-config" if path.stem == "config" else "github-issue-forms"

    schema(kind).validate(yaml.safe_load(path.read_text()))


def test_there_are_forms() -> None:
    assert {path.stem for path in FORMS} == {"bug", "config", "vendor"}
