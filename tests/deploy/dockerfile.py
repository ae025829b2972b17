"""Reads a Dockerfile as far as ours goes: stages, and instructions with their arguments."""

import json
import re
from pathlib import Path
from typing import NamedTuple


class Instruction(NamedTuple):
    """Such as `RUN` and what is run."""

    name: str
    argument: str

    @property
    def command(self) -> list[str]:
        """The argument in its JSON form."""
        found: list[str] = json.loads(self.argument[self.argument.index("[") :])
        return found


Stage = list[Instruction]


def stages(path: Path) -> list[Stage]:
    """Return the instructions of each stage, its `FROM` first."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, argument = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, argument))
    return found


def arguments(stage: Stage, name: str) -> list[str]:
    """Return what each instruction of a name says."""
    return [instruction.argument for instruction in stage if instruction.name == name]


def environment(stage: Stage) -> dict[str, str]:
    """Return what `ENV` sets."""
    pairs = [pair for argument in arguments(stage, "ENV") for pair in argument.split()]
    return dict(pair.split("=", 1) for pair in pairs)
