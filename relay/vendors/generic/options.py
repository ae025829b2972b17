"""Reads a table of a source's settings, and says all that is wrong with it. Pure."""

import re
from collections.abc import Iterable, Mapping

Problems = list[str]
"""Sentences without a full stop, each beginning with the name of the setting."""

_MAX_DIGITS = 9
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


class OptionTable:
    """One table, such as `verify`. What is wrong goes to problems; a default takes its place.

    Values from the environment are strings, so numbers and booleans may be strings, too.

    Args:
        name: of the table.
        value: what the settings have there; None for nothing.
        problems: where to say what is wrong.
    """

    def __init__(self, name: str, value: object, problems: Problems) -> None:
        self._name = name
        self._problems = problems
        self._values: Mapping[str, object] = {}
        self._known: set[str] = set()
        if isinstance(value, Mapping):
            self._values = value
        elif value is not None:
            problems.append(f"{name}: it must be a table, such as {{kind = ...}}")

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def problem(self, key: str, text: str) -> None:
        """Say what is wrong with a key."""
        self._problems.append(f"{self._name}.{key}: {text}")

    def text(self, key: str, default: str = "") -> str:
        """Return a string that is not empty."""
        value = self._take(key)
        if value is None:
            return default
        if type(value) is str and value:
            return value
        self.problem(key, "it must be text, and not empty")
        return default

    def required(self, key: str, what: str) -> str:
        """Return a string that must be there; what says what it is for."""
        if key not in self:
            self._known.add(key)
            self.problem(key, f"it is missing; set it to {what}")
        return self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return one string or several."""
        value = self._take(key)
        if value is None:
            return ()
        values = list(value) if isinstance(value, list | tuple) else [value]
        texts = tuple(one for one in values if isinstance(one, str) and one)
        if texts and len(texts) == len(values):
            return texts
        self.problem(key, "it must be text, or a list of texts")
        return ()

    def choice(self, key: str, choices: Iterable[str], default: str = "") -> str:
        """Return one of choices."""
        value = self.text(key, default)
        allowed = tuple(choices)
        if value in allowed or (value == default and key not in self):
            return value
        self.problem(key, f"{value!r} is none of {', '.join(allowed)}")
        return default

    def integer(self, key: str, default: int, limit: int) -> int:
        """Return a whole number from 0 to limit."""
        value = self._take(key)
        if value is None:
            return default
        if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
            value = int(value)
        if type(value) is int and 0 <= value <= limit:
            return value
        self.problem(key, f"it must be a whole number from 0 to {limit}")
        return default

    def flag(self, key: str) -> bool:
        """Return true or false; false if it is not there."""
        value = self._take(key)
        if value is None or type(value) is bool:
            return bool(value)
        if value in {"true", "false"}:
            return value == "true"
        self.problem(key, "it must be true or false")
        return False

    def header(self, key: str) -> str:
        """Return the name of a header in lower case, or ""."""
        return self._checked_header(key, self.text(key))

    def required_header(self, key: str, what: str) -> str:
        """Return the name of a header, in lower case, that must be there."""
        return self._checked_header(key, self.required(key, what))

    def _checked_header(self, key: str, name: str) -> str:
        if name and not HEADER_NAME.fullmatch(name):
            self.problem(key, f"{name!r} is no name of a header")
            return ""
        return name.lower()

    def _take(self, key: str) -> object:
        self._known.add(key)
        return self._values.get(key)

    def refuse_others(self) -> None:
        """Say of each key that nobody asked for that it is no setting."""
        for key in self._values:
            if key not in self._known:
                self.problem(key, "it is no setting here; remove it")
