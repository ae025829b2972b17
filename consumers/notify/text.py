"""Texts from strangers, made safe for a Slack-compatible webhook. Pure.

https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

import html
import re
from collections.abc import Sequence

UNKNOWN = "—"
"""Stands for a field that an event does not have."""

_MAX_VALUE_CHARACTERS = 200  # what a person reads in passing
_MAX_MESSAGE_CHARACTERS = 3000  # Slack allows 40,000
_MAX_LINES = 20

# Whitespace, control characters, and characters that reverse the direction of text.
_NOT_TEXT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
# `@all` and `[text](address)` mean nothing to Slack, but something to compatible services.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_NAMED_LINK = re.compile(r"\](?=\()")
_ZERO_WIDTH_SPACE = "\u200b"


def quoted(text: str) -> str:
    """Return a stranger's text on one line, cut, and unable to mention people or disguise links.

    A URL in it may become a link, but one that shows where it leads.
    """
    begin = text[: 4 * _MAX_VALUE_CHARACTERS]
    line = _NOT_TEXT.sub(" ", begin).strip()
    if len(line) > _MAX_VALUE_CHARACTERS or len(begin) < len(text):
        line = line[: _MAX_VALUE_CHARACTERS - 1] + "…"
    line = _MENTION.sub("@" + _ZERO_WIDTH_SPACE, line)
    line = _NAMED_LINK.sub("]" + _ZERO_WIDTH_SPACE, line)
    return html.escape(line, quote=False)


def digest(texts: Sequence[str]) -> tuple[str, int]:
    """Return one message for several texts, and how many of them it shows.

    The others are counted in its last line. The first text is always shown, at least in part.
    """
    shown, left = [texts[0][:_MAX_MESSAGE_CHARACTERS]], _MAX_MESSAGE_CHARACTERS - len(texts[0])
    for text in texts[1:_MAX_LINES]:
        left -= len(text) + 1
        if left < 0:
            break
        shown.append(text)
    rest = len(texts) - len(shown)
    return "\n".join([*shown, f"… and {rest} more"] if rest else shown), len(shown)
