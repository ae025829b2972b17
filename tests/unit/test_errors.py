"""The tree of errors: as drawn, and each with an answer of its own."""

import inspect
import re

from relay import errors
from relay.errors import Refused, RelayError
from tests.support.rows import for_each

CLASSES = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
}
REFUSED = [kind for kind in CLASSES.values() if issubclass(kind, Refused)]

# Section 3 of the design: what a caller gets, and the slug it can rely on.
ANSWERS = {
    (400, "bad-request"),
    (401, "unauthenticated"),
    (403, "not-for-browsers"),
    (404, "unknown-source"),
    (405, "method-not-allowed"),
    (408, "head-too-slow"),
    (408, "body-too-slow"),
    (413, "body-too-large"),
    (415, "unsupported-encoding"),
    (431, "head-too-large"),
    (500, "internal-error"),
    (503, "unavailable"),
    (503, "outbox-full"),
}


def drawn() -> list[tuple[str, str | None, int | None]]:
    """Read the drawing: (name, name of the parent, status) per line."""
    found: list[tuple[str, str | None, int | None]] = []
    ancestors: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)([A-Z]\w+)(?: +([1-5]\d\d)\b)?(?:  |$)", line)
        if not match or not (match[1] or line == "RelayError"):
            continue
        level = len(match[1]) // 4
        ancestors[level:] = [match[2]]
        status = int(match[3]) if match[3] else None
        found.append((match[2], ancestors[level - 1] if level else None, status))
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    edges = {name: parent for name, parent, _ in drawn()}

    bases = {name: kind.__base__.__name__ for name, kind in CLASSES.items()}
    assert edges == bases | {"RelayError": None}
    assert RelayError.__base__ is Exception


def test_the_statuses_in_the_docstring_are_those_of_the_classes() -> None:
    statuses = {name: status for name, _, status in drawn()}

    assert statuses == {name: getattr(kind, "status", None) for name, kind in CLASSES.items()}


def test_every_refusal_has_the_answer_of_the_contract() -> None:
    answers = [(kind.status, kind.slug) for kind in REFUSED]

    assert set(answers) == ANSWERS
    assert len(set(answers)) == len(answers)


def test_a_slug_and_a_title_stand_for_one_answer_only() -> None:
    for attribute in ("slug", "title"):
        values = [getattr(kind, attribute) for kind in REFUSED]

        assert len(set(values)) == len(REFUSED)

    assert all(re.fullmatch("[a-z]+(-[a-z]+)*", kind.slug) for kind in REFUSED)


def test_only_what_is_full_shares_a_status_with_its_parent() -> None:
    shared = [
        kind for kind in REFUSED if kind is not Refused and kind.status == kind.__base__.status
    ]

    assert shared == [errors.StorageFull]


@for_each(error=CLASSES.values())
def test_every_error_says_what_it_means(error: type[RelayError]) -> None:
    assert issubclass(error, RelayError)
    assert error.__doc__


def test_the_text_of_an_error_is_what_it_was_raised_with() -> None:
    malformed = errors.Malformed("not_json")
    wrong = errors.SettingsError(["a is wrong.", "b is missing."])

    assert (str(malformed), malformed.reason) == ("not_json", "not_json")
    assert str(wrong) == "a is wrong.; b is missing."
    assert wrong.problems == ("a is wrong.", "b is missing.")
