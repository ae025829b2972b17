"""Text as a Slack-compatible webhook takes it, from strangers and for people. Pure.

https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

import html
import re
from collections.abc import Sequence

UNKNOWN = "—"
"""Stands for what an event does not say."""

_MOST_OF_A_VALUE = 200  # characters: what a person reads in passing
_MOST_OF_A_MESSAGE = 3000  # characters, of the 40,000 Slack takes
_MOST_LINES = 20

# Whitespace, control characters, and what reverses the direction of the text behind it.
_NOT_TEXT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
# `@all` and `[text](address)`: Slack gives them no meaning, others that take its messages do.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_NAMED_LINK = re.compile(r"\](?=\()")
_NOTHING_SEEN = "\u200b"


def quoted(text: str) -> str:
    """Return a stranger's text on one line, cut, and without power to mention or to link.

    An address in it may become a link, but one that shows where it leads.
    """
    begin = text[: 4 * _MOST_OF_A_VALUE]
    line = _NOT_TEXT.sub(" ", begin).strip()
    if len(line) > _MOST_OF_A_VALUE or len(begin) < len(text):
        line = line[: _MOST_OF_A_VALUE - 1] + "…"
    line = _MENTION.sub("@" + _NOTHING_SEEN, line)
    line = _NAMED_LINK.sub("]" + _NOTHING_SEEN, line)
    return html.escape(line, quote=False)


def digest(texts: Sequence[str]) -> tuple[str, int]:
    """Return one message for several texts, and how many of them it shows.

    The others are counted in its last line. The first text is always shown, at least in part.
    """
    shown, room = [texts[0][:_MOST_OF_A_MESSAGE]], _MOST_OF_A_MESSAGE - len(texts[0])
    for text in texts[1:_MOST_LINES]:
        room -= len(text) + 1
        if room < 0:
            break
        shown.append(text)
    rest = len(texts) - len(shown)
    return "\n".join([*shown, f"… and {rest} more"] if rest else shown), len(shown)
