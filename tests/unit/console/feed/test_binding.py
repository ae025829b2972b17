"""The feed's queue is bound to all that its filters may let through, and to little else."""

from relay.cli.replay.topic_pattern import matcher
from relay.console.feed.tap import binding
from relay.events.topology import routing_key
from tests.support.rows import for_each, for_each_row

VENDORS = {"acme": "swiftsell", "shop": "generic", "odd": "Acme Inc."}


@for_each_row(
    ("wanted", "expected"),
    [
        ({}, "#"),
        ({"verdict": "published"}, "#"),
        ({"source": "nobody knows"}, "#"),
        ({"source": "acme"}, "swiftsell.#"),
        ({"source": "odd"}, "acme_inc_.#"),
        ({"type": "message.created"}, "*.message.created.#"),
        ({"type": "Odd Type.x"}, "*.odd_type.x.#"),
        ({"type": "*.#"}, "*._._.#"),
        ({"type": "x" * 101}, "#"),
        ({"type": "x" * 101, "source": "acme"}, "swiftsell.#"),
        ({"source": "shop", "type": "note.created"}, "generic.note.created.#"),
    ],
)
def test_a_binding_is_no_wider_than_it_must_be(wanted: dict[str, str], expected: str) -> None:
    assert binding(wanted, VENDORS) == expected


@for_each(
    detail=["", "text", "x" * 300],
    kind=["message.created", "unrecognized.Odd-Type", ".", "a" * 100, "é"],
    source=[*VENDORS, "another"],
)
def test_what_is_wanted_comes_through_the_binding(source: str, kind: str, detail: str) -> None:
    key = routing_key(VENDORS.get(source, "other"), kind, detail)

    for wanted in ({"source": source}, {"type": kind}, {"source": source, "type": kind}):
        assert matcher(binding(wanted, VENDORS))(key), wanted
