"""The source that a command is about, by the name that somebody gave."""

from collections.abc import Mapping

from relay.errors import RelayError
from relay.ingress.processing import Source


def named_source(sources: Mapping[str, Source], name: str) -> Source:
    """Return the source with this name.

    Raises:
        RelayError: there is none.
    """
    if name not in sources:
        raise RelayError(f"There is no source {name!r}; there are {', '.join(sources)}.")
    return sources[name]
