"""Types of events that a source does not publish. Pure."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from relay.events import topology

MAX_PATTERNS = 100
_MAX_PATTERN_CHARACTERS = 255
_WILDCARD = re.compile(r"[*?\[]")


def pattern_of(patterns: Sequence[str], types: Iterable[str]) -> re.Pattern[str] | None:
    """Return what matches the types that a source's `ignore` names; None if it names none.

    Args:
        patterns: globs of `type` or `type.detail`, in the spelling of routing keys; `*` also
            stands for dots.
        types: those that the source's vendor sends.

    Raises:
        ValueError: a pattern is too long, or matches nothing that the vendor sends; each is named.
    """
    known = sorted(types)
    problems = [
        f"{pattern!r} matches no type that its vendor sends: {', '.join(known)}"
        for pattern in patterns
        if not any(_may_match(pattern, event_type) for event_type in known)
    ]
    if len(patterns) > MAX_PATTERNS or any(
        len(pattern) > _MAX_PATTERN_CHARACTERS for pattern in patterns
    ):
        problems = [
            f"it has at most {MAX_PATTERNS} patterns of {_MAX_PATTERN_CHARACTERS} characters"
        ]
    if problems:
        raise ValueError("; ".join(problems))
    return re.compile("|".join(map(translate, patterns))) if patterns else None


def is_ignored(pattern: re.Pattern[str], event_type: str, detail: str) -> bool:
    """Return whether an event of this type and detail is not to be published."""
    if pattern.match(event_type):
        return True
    return bool(detail and pattern.match(f"{event_type}.{topology.word(detail)}"))


def _may_match(pattern: str, event_type: str) -> bool:
    """Return whether a pattern matches a type, or may match it with some detail."""
    if re.match(translate(pattern), event_type):
        return True
    start = _WILDCARD.split(pattern, maxsplit=1)[0]
    with_detail = f"{event_type}."
    if start == pattern:
        return pattern.startswith(with_detail) and bool(
            re.fullmatch("[a-z0-9_]+", pattern.removeprefix(with_detail))
        )
    return start.startswith(with_detail) or with_detail.startswith(start)
