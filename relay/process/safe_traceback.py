"""What a bug may show in a log: where it was, never the text of its error. Pure."""

import traceback
from collections.abc import Mapping


def safe_traceback(error: BaseException) -> Mapping[str, str]:
    """Return what a bug is and where, without its text, which may quote a body."""
    frames = traceback.format_tb(error.__traceback__)
    return {"error": type(error).__name__, "traceback": "".join(frames)}
