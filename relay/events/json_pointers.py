"""JSON pointers (RFC 6901), as settings have them. Pure.

A step `*` stands for each of several: it is in no RFC, but senders have arrays.
"""

import re
from typing import Any

Steps = tuple[str, ...]

EVERY = "*"
_INDEX = re.compile(r"0|[1-9][0-9]{0,5}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def parse_pointer(text: str) -> Steps:
    """Return the steps of a pointer such as `/data/0/id`.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith("/") or _BAD_ESCAPE.search(text):
        raise ValueError(f"{text!r} is no JSON pointer, such as /data/id")
    return tuple(
        step.replace("~1", "/").replace("~0", "~") for step in text.removeprefix("/").split("/")
    )


def find(value: Any, steps: Steps, missing: Any = None) -> Any:
    """Return what is at the end of the steps; what stands for missing if there is nothing."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step, missing)
        elif type(value) is list and _INDEX.fullmatch(step):
            index = int(step)
            value = value[index] if index < len(value) else missing
        else:
            return missing
    return value
