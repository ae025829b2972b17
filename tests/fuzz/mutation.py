"""Changing a delivery as a document: byte by byte, it would hardly ever stay valid JSON. Pure."""

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from relay import vendors
from tests.fuzz import delivered

_VALUES: list[Any] = [
    *(None, True, 0, -1, 2**64, 1.5, 1e300, "", "\0", "\ud83d", "x" * 300, "¿·a·?", [], {}),
    *delivered.LIVE,
    {"token": delivered.LIVE[0]},
]
_SEPARATORS = [(",", ":"), (", ", ": "), (" ,\r\n", "\t:")]


def change(
    data: bytes, most_bytes: int, seed: int, change_bytes: Callable[[bytes, int], bytes]
) -> bytes:
    """Change the document in a delivery, or, every other time or if it has none, its bytes."""
    lot = random.Random(seed)  # noqa: S311  reproducible, not secret
    head, blank, body = data.partition(b"\n\n")
    if lot.randrange(2):
        return change_bytes(data, most_bytes)
    try:
        document = json.loads(body)
        _change_document(document, lot)
    except (ValueError, RecursionError):
        return change_bytes(data, most_bytes)
    text = json.dumps(
        document, ensure_ascii=bool(lot.randrange(2)), separators=lot.choice(_SEPARATORS)
    )
    made = head + blank + text.encode(errors="surrogatepass")
    return made if len(made) <= most_bytes else change_bytes(data, most_bytes)


@cache
def names() -> list[str]:
    """Return the names of all members in the vendors' samples."""
    found = {"token", "events"}
    for name in vendors.discover():
        for sample in vendors.samples(name):
            if sample.name.endswith(".json"):
                document = [json.loads(sample.read_bytes())]
                found |= {key for _, key in _places(document) if isinstance(key, str)}
    return sorted(found)


def _change_document(document: Any, lot: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = lot.choice(places)
    match lot.randrange(4):
        case 0:
            holder[key] = lot.choice(_VALUES)
        case 1:
            del holder[key]
        case 2:
            other, other_key = lot.choice(places)
            holder[key] = json.loads(json.dumps(other[other_key]))
        case _ if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            holder[lot.choice(names())] = holder[key]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (holder, key) of whatever is in a JSON value."""
    if not isinstance(value, dict | list):
        return
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        yield from _places(value[key])
