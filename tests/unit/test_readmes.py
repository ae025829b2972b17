"""What the READMEs name exists: files they link to, make targets, commands and their options."""

import re
import shlex
from pathlib import Path

import click
from pydantic import BaseModel

from relay.cli import main
from relay.settings import Settings
from tests.support.rows import for_each

READMES = sorted(
    path
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")
    for path in Path().glob(f"**/{name}")
    if not path.parts[0].startswith(".") and "node_modules" not in path.parts
)
MAX_README_BYTES = 9_000
PLACEHOLDER = re.compile(r"[\[\]]|\.\.\.")  # marks of a synopsis

every_readme = for_each(path=READMES)


def code_of(text: str) -> list[str]:
    """Return what a README shows as code: lines of indented blocks, and spans in backticks."""
    text = re.sub(r"(?s)```.*?```", "", text)
    lines = [
        re.split(r"\s#\s", line)[0].strip() for line in text.splitlines() if line[:4] == "    "
    ]
    return lines + re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def anchors_of(text: str) -> set[str]:
    """Return the anchors that a Markdown viewer makes of headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands_in(text: str) -> list[list[str]]:
    """Return the words after `relay`, of all that a README says to type."""
    code = "\n".join(PLACEHOLDER.sub(" ", line) for line in code_of(text))
    found = re.findall(r"(?m)(?:^|-m )relay ([a-z][^|&;>\n]*)", code)
    return [shlex.split(words) for words in found]


@every_readme
def test_the_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        place = path.parent / file if file else path
        assert place.exists(), target
        assert not anchor or anchor in anchors_of(place.read_text()), target


@every_readme
def test_the_make_targets_named_are_in_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z0-9-]+):", Path("Makefile").read_text()))

    named = {
        name
        for code in code_of(path.read_text())
        for name in re.findall(r"^make ([a-z0-9-]+)", code)
    }

    assert named <= targets


@every_readme
def test_the_commands_named_are_commands_with_these_options(path: Path) -> None:
    for name, *words in commands_in(path.read_text()):
        context = click.Context(main)
        command = main.get_command(context, name)
        assert command, f"relay {name}"
        if isinstance(command, click.Group) and words and not words[0].startswith("-"):
            command = command.get_command(context, words.pop(0))
            assert command, f"relay {name} ..."
        options = {option for parameter in command.params for option in parameter.opts}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= options, f"relay {name}"


@every_readme
def test_the_settings_named_are_settings(path: Path) -> None:
    sections = "|".join(set(Settings.model_fields) - {"sources", "consumers"})

    for section, name in re.findall(rf"`({sections})\.(?!db\b)([a-z_]+)\b", path.read_text()):
        kind = Settings.model_fields[section].annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        assert name in kind.model_fields, f"{section}.{name}"


def test_the_readme_is_read_in_five_minutes() -> None:
    assert Path("README.md").stat().st_size <= MAX_README_BYTES
