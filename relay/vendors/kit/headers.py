"""Headers that count only where they occur once. Pure."""

from collections.abc import Mapping

from relay.errors import Unauthenticated


def only(headers: Mapping[str, str], name: str, reason: str) -> str | None:
    """Return a header's value, or None where there is none.

    Raises:
        Unauthenticated: for that reason, as it occurs several times, so that whoever reads it may
            take either.
    """
    getall = getattr(headers, "getall", None)
    if getall is None:
        return headers.get(name)
    values: list[str] = getall(name, [])
    if len(values) > 1:
        raise Unauthenticated(f"there are several headers {name}", reason)
    return values[0] if values else None
