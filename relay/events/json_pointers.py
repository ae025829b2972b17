"""JSON pointers (RFC 6901), as settings have them. Pure.

A step `*` stands for each of several: it is in no RFC, but senders have arrays.
"""

import re

Steps = tuple[str, ...]

EVERY = "*"
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
