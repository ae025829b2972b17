"""What was quarantined alone and is released gets the ids that it would have had."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from relay.cli.quarantined_delivery import QuarantinedDelivery, process_again
from relay.errors import Malformed
from relay.events.event import Identity, NormalizedEvent, NotUnderstood
from relay.events.message import Message, Origin
from relay.events.redaction_rules import redaction_of
from relay.events.source_rules import SourceRules
from relay.ingress.processing import ProcessedDelivery, Source, process_delivery
from relay.vendors import Vendor
from relay.vendors.kit.authentication import Secrets
from relay.vendors.kit.batches import read_element, understand_each
from relay.vendors.kit.request import Echo, OutgoingRequest, Request

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

ORIGIN = Origin(vendor="lines", source="acme")
LINES = [
    b'{"a":"ok"}',
    b'{"a":"ok"}',
    b'{"b":"ok"}',
    rb'{"b":"ok\ud83d"}',
    rb'{"b":"ok\ude00"}',
    rb'{"b":"ok\ufffd"}',
    '{"b":"ok\ufffd"}'.encode(),
    b'{"c":"ok"}',
    b'{"bug":"ok"}',
    rb'{"bug":"\ud83d"}',
]


class Lines:
    """A vendor that sends a JSON object a line, of which a version knows some.

    Args:
        known: the members that it knows.
        identity: of the events.
        buggy: the members with which it fails.
    """

    def __init__(self, known: str, identity: Identity, buggy: str = "") -> None:
        self._known, self._identity, self._buggy = known.split(), identity, buggy.split()

    def authenticate(self, _request: Request, _secrets: Secrets) -> Echo | None:
        return None

    def normalize(self, request: Request) -> Sequence[NormalizedEvent | NotUnderstood]:
        return understand_each(map(read_element, request.body.split(b"\n")), self._understand)

    def sign(self, body: bytes, secret: str) -> OutgoingRequest:
        raise NotImplementedError

    def _understand(self, value: Any, raw: bytes) -> NormalizedEvent:
        (name,) = value
        if name in self._buggy:
            return cast("NormalizedEvent", value["no such member"])
        if name not in self._known:
            raise Malformed("unknown_shape")
        return NormalizedEvent(
            type="unrecognized", vendortype=name, data={}, raw=raw, identity=self._identity
        )


def received(
    lines: Sequence[bytes], vendor: Vendor, rules: SourceRules | None = None
) -> ProcessedDelivery:
    source = Source(origin=ORIGIN, vendor=vendor, secrets=Secrets(()), rules=rules)
    return process_delivery(Request(body=b"\n".join(lines)), source, 1.5, "d1")


def released(
    message: Message, vendor: Vendor, rules: SourceRules | None = None
) -> Sequence[Message]:
    """Return what becomes of a message of the quarantine once it has been through RabbitMQ."""
    properties = commands.Basic.Properties()
    properties.unmarshal(int.from_bytes(message.properties[:2]), message.properties[2:])
    arrived = SimpleNamespace(
        headers=properties.headers, message_id=properties.message_id, body=message.body
    )
    delivery = QuarantinedDelivery.of(cast("AbstractIncomingMessage", arrived))
    sources = {"acme": Source(origin=ORIGIN, vendor=vendor, secrets=Secrets([]), rules=rules)}
    return process_again(delivery, message.body, sources, {})


def all_released(found: ProcessedDelivery, vendor: Vendor) -> list[Message]:
    """Return the messages of a delivery in order, with what was quarantined released."""
    messages: list[Message] = []
    for message in found.messages:
        messages += released(message, vendor) if message.is_quarantined else [message]
    return messages


@pytest.mark.parametrize("identity", ["element", "delivery", ("v", "1")])
@given(
    lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=12),
    known=st.sampled_from(["", "a", "b", "a b", "a c", "b c"]),
    buggy=st.sampled_from(["", "bug", "bug c"]),
)
def test_what_is_released_has_the_ids_it_would_have_had(
    identity: Identity, lines: list[bytes], known: str, buggy: str
) -> None:
    fixed = Lines("a b c bug", identity)
    expected = received(lines, fixed).messages

    first = received(lines, Lines(known, identity, buggy))

    assert [message.id for message in all_released(first, fixed)] == [
        message.id for message in expected
    ]


@pytest.mark.parametrize("identity", ["element", "delivery"])
def test_equal_ones_are_two_occurrences(identity: Identity) -> None:
    lines = [b'{"a":1}', b'{"b":1}', b'{"b":1}']

    first = received(lines, Lines("a", identity))
    ids = [message.id for message in all_released(first, Lines("a b", identity))]

    assert first.reasons == ("unknown_shape", "unknown_shape")
    assert len(set(ids)) == 3


def test_one_that_an_earlier_version_quarantined_is_the_first_of_its_kind() -> None:
    fixed = Lines("a b", "element")
    message = received([b'{"a":1}', b'{"b":1}'], Lines("a", "element")).messages[1]
    for odd in (b"\x00\x00\x00\x01x", b"\x00\x00\x00\x01-"):
        changed = message._replace(
            properties=message.properties.replace(
                b"\x06numberS\x00\x00\x00\x010", b"\x06numberS" + odd
            )
        )

        assert [event.id for event in released(changed, fixed)] == [
            event.id for event in released(message, fixed)
        ]


def test_a_bug_in_one_element_leaves_the_others_alone() -> None:
    lines = [b'{"a":1}', b'{"bug":1}', b'{"a":2}']

    found = received(lines, Lines("a", "element", buggy="bug"))

    assert found.reasons == ("vendor_error",)
    assert [message.is_quarantined for message in found.messages] == [False, True, False]
    assert found.messages[1].body == b'{"bug":1}'
    assert found.failure
    assert found.failure["error"] == "KeyError"
    assert "_understand" in found.failure["traceback"]
    assert "no such member" not in found.failure["traceback"].replace('value["no such member"]', "")


@pytest.mark.parametrize("lines", [[b'{"bug":1}'], [b'{"bug":1}', b'{"bug":2}']])
def test_a_bug_in_all_elements_quarantines_the_delivery(lines: list[bytes]) -> None:
    found = received(lines, Lines("a", "element", buggy="bug"))

    assert (found.reason, len(found.messages)) == ("vendor_error", 1)
    assert found.failure
    assert found.failure["error"] == "KeyError"


def test_data_that_can_not_be_encoded_is_a_bug_of_one_element() -> None:
    class Unencodable(Lines):
        def _understand(self, value: Any, raw: bytes) -> NormalizedEvent:
            event = super()._understand(value, raw)
            return event._replace(data={"message": {"text": object()}}) if "b" in value else event

    found = received([b'{"a":1}', b'{"b":1}'], Unencodable("a b", "element"))

    assert (found.reasons, found.types) == (("vendor_error",), ("unrecognized",))
    assert found.failure


@pytest.mark.parametrize("redact", [{"/raw/who": "pseudonym"}, {"/contact/id": "pseudonym"}])
def test_a_release_redacts_what_is_not_yet_and_makes_no_pseudonym_of_a_pseudonym(
    redact: dict[str, str],
) -> None:
    class Contacts(Lines):
        """Lines that may have a contact."""

        def _understand(self, value: Any, raw: bytes) -> NormalizedEvent:
            event = super()._understand({"b": value}, raw)
            return event._replace(data={"contact": {"id": value["who"]}})

    rules = SourceRules(redaction=redaction_of(redact | {"/contact/id": "pseudonym"}, "k" * 16))
    line = b'{"who":"contact-4711"}'
    understood = received([line], Contacts("b", ("v", "1")), rules)
    found = received([line], Contacts("", ("v", "1")), rules)

    [message] = found.messages
    assert message.is_quarantined
    assert (b"contact-4711" in message.body) == ("/raw/who" not in redact)
    assert released(message, Contacts("b", ("v", "1")), rules) == understood.messages
