"""What a check found. One that fails raises a RelayError instead. Pure."""

from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """What a check found.

    Args:
        text: one sentence; of a warning, with what to do.
        is_warning: whether a person should look at it, though the relay works.
    """

    text: str
    is_warning: bool = False


def joined(findings: Iterable[Finding]) -> Finding:
    """Return several as one, the warnings first."""
    ordered = sorted(findings, key=lambda finding: not finding.is_warning)
    text = "; ".join(finding.text.rstrip(".") for finding in ordered)
    return Finding(text, any(finding.is_warning for finding in ordered))
