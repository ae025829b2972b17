"""Headers that count only where they occur once. Pure."""

from collections.abc import Mapping


def only(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value, or None where there is none.

    Raises:
        ValueError: it occurs several times, so that whoever reads it may take either.
    """
    getall = getattr(headers, "getall", None)
    if getall is None:
        return headers.get(name)
    values: list[str] = getall(name, [])
    if len(values) > 1:
        raise ValueError(name)
    return values[0] if values else None
