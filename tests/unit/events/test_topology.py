"""Names on the broker."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events import topology
from relay.events.event import TYPES
from tests.support.rows import for_each_row

KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


@for_each_row(
    ("text", "word"),
    [
        ("form.response", "form_response"),
        ("Case:Message New", "case_message_new"),
        ("sla_breached", "sla_breached"),
        ("é\u0130#*", "_i___"),  # the dotted capital I is two characters in lower case
        ("\u212a1", "k1"),  # the Kelvin sign is a k in lower case
        ("\x00\ud800", "__"),
        ("7", "7"),
        ("", "_"),
        ("x" * 500, "x" * 100),
        ("\u0130" * 100, "i_" * 50),
    ],
)
def test_a_word_keeps_letters_digits_and_underscores(text: str, word: str) -> None:
    assert topology.word(text) == word


@for_each_row(
    ("vendor", "event_type", "detail", "key"),
    [
        (
            "swiftsell",
            "message.created",
            "form.response",
            "swiftsell.message.created.form_response",
        ),
        ("pickyassist", "conversation.assigned", "", "pickyassist.conversation.assigned"),
        ("supporthunt", "unrecognized", "sla_breached", "supporthunt.unrecognized.sla_breached"),
        ("my-chat", "note.created", "", "my_chat.note.created"),
        ("v", "not_json", "", "v.not_json"),
        ("v", "a..b", ".", "v.a._.b._"),
    ],
)
def test_a_routing_key_is_vendor_type_and_detail(
    vendor: str, event_type: str, detail: str, key: str
) -> None:
    assert topology.routing_key(vendor, event_type, detail) == key


@given(
    vendor=st.text(st.characters()),
    event_type=st.sampled_from(sorted(TYPES)) | st.text(st.characters()),
    detail=st.text(st.characters()) | st.text("\u0130.", max_size=400),
)
def test_a_routing_key_is_words_of_at_most_255_bytes(
    vendor: str, event_type: str, detail: str
) -> None:
    key = topology.routing_key(vendor, event_type, detail)

    assert KEY.fullmatch(key)
    assert len(key.encode()) <= topology.MAX_ROUTING_KEY_BYTES


@pytest.mark.parametrize("length", [98, 99, 100, 101])
def test_a_key_that_is_cut_never_ends_in_a_dot(length: int) -> None:
    words = "v" * 100, "t" * 100 + "." + "u" * (length - 48), "d" * 100

    key = topology.routing_key(*words)

    assert KEY.fullmatch(key)
    assert len(key) in {254, 255}


def test_the_relay_declares_its_exchanges_before_what_needs_them() -> None:
    declared = topology.topology("hooks", unrouted_max_length=5, quarantine_max_length=7)

    assert [(found.name, found.kind, found.arguments) for found in declared.exchanges] == [
        ("hooks.unrouted", "fanout", {}),
        ("hooks.quarantine", "topic", {}),
        ("hooks", "topic", {"alternate-exchange": "hooks.unrouted"}),
    ]
    assert [queue.name for queue in declared.queues] == ["hooks.unrouted", "hooks.quarantine"]
    assert [(found.exchange, found.pattern, found.to) for found in declared.bindings] == [
        ("hooks.unrouted", "", "hooks.unrouted"),
        ("hooks.quarantine", "#", "hooks.quarantine"),
    ]


def test_the_history_lies_in_front_of_the_events_exchange_so_that_unrouted_stays_unrouted() -> None:
    bounds = topology.History(max_age_s=3600, max_bytes=50_000_000)
    without = topology.topology("hooks", unrouted_max_length=5, quarantine_max_length=7)

    declared = topology.topology(
        "hooks", unrouted_max_length=5, quarantine_max_length=7, history=bounds
    )

    assert declared.exchanges[-1] == topology.Exchange(name="hooks.history", kind="topic")
    assert declared.queues[-1].arguments == {
        "x-queue-type": "stream",
        "x-max-age": "3600s",
        "x-max-length-bytes": 50_000_000,
        "x-stream-max-segment-size-bytes": 5_000_000,
    }
    added = declared.bindings[len(without.bindings) :]
    assert [(binding.exchange, binding.to, binding.is_to_exchange) for binding in added] == [
        ("hooks.history", "hooks.history", False),
        ("hooks.history", "hooks", True),
    ]
    from_events = [binding for binding in declared.bindings if binding.exchange == "hooks"]
    assert all(binding.is_to_exchange for binding in from_events)


def test_a_full_queue_refuses_instead_of_losing_the_oldest() -> None:
    declared = topology.topology("hooks", unrouted_max_length=5, quarantine_max_length=7)

    bounds = [queue.arguments for queue in declared.queues]

    assert [arguments["x-max-length"] for arguments in bounds] == [5, 7]
    for arguments in bounds:
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-overflow"] == "reject-publish"
        assert arguments["x-delivery-limit"] > 10**9


def test_exchanges_of_sources_share_what_is_unrouted_and_the_history() -> None:
    bounds = topology.History(max_age_s=60, max_bytes=10_000_000)

    wanted = topology.topology(
        "hooks",
        unrouted_max_length=1,
        quarantine_max_length=1,
        history=bounds,
        others=["crm", "shop"],
    )

    kinds = {exchange.name: exchange.arguments for exchange in wanted.exchanges}
    for name in ("hooks", "crm", "shop"):
        assert kinds[name] == {"alternate-exchange": "hooks.unrouted"}
        to = {
            (each.to, each.pattern)
            for each in wanted.bindings
            if each.exchange == f"{name}.history"
        }
        assert to == {("hooks.history", "#"), (name, "#")}
    assert [queue.name for queue in wanted.queues] == [
        "hooks.unrouted",
        "hooks.quarantine",
        "hooks.history",
    ]
