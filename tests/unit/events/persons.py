"""Persons in deliveries: values that may be left nowhere, and a vendor that is told its events."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import strategies as st

from relay.errors import Malformed
from relay.events.event import NormalizedEvent
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.request import OutgoingRequest, Request


class Told:
    """A vendor whose deliveries say themselves what their events are."""

    def authenticate(self, _request: Request, _secrets: Secrets) -> None:
        """Let everyone in."""

    def normalize(self, request: Request) -> Sequence[NormalizedEvent]:
        """Return `data` of the body as data, and the body as raw."""
        try:
            body = orjson.loads(request.body)
            kind, data = body.get("kind", "x"), body["data"]
        except (AttributeError, KeyError, ValueError) as error:
            raise Malformed("unknown_shape") from error
        return [NormalizedEvent("message.created", kind, data, request.body)]

    def sign(self, body: bytes, _secret: str) -> OutgoingRequest:
        """Return it as it is."""
        return OutgoingRequest(body=body)


# A value that stands for itself: nothing else of a delivery looks like it.
PERSONAL = st.tuples(
    st.sampled_from(["ann", "Ünal", "李", "a b", 'q"', "b\\", "😀"]),
    st.text(st.characters(codec="utf-8", exclude_characters="*"), max_size=6),
    st.integers(10**9, 10**12),
).map(lambda parts: f"{parts[0]}{parts[1]}@{parts[2]}")
PLACES: Any = st.recursive(
    st.sampled_from(["{v}", "to {v}, now", "{v}{v}", "?q={q}", "other"])
    | st.integers()
    | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "x{v}y", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def filled(place: Any, value: str) -> Any:
    match place:
        case str():
            return place.replace("{v}", value).replace("{q}", quote(value))
        case dict():
            return {filled(name, value): filled(child, value) for name, child in place.items()}
        case list():
            return [filled(child, value) for child in place]
    return place
