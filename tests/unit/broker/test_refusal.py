"""What RabbitMQ will not take, in the words of its versions."""

from relay.broker.refusal import Refusal, causes_covering, refusal_in
from relay.events.message import Message
from tests.support.rows import for_each_row

ACCESS, NOT_FOUND, PRECONDITION = 403, 404, 406


def message(routing_key: str = "swiftsell.message.created", size: int = 10) -> Message:
    body = b"b" * size
    return Message(id="1", routing_key=routing_key, properties=b"", body=body, received_at=0)


@for_each_row(
    ("code", "text", "expected"),
    [
        (
            PRECONDITION,
            "PRECONDITION_FAILED - message size 1500 is larger than configured max size 1000",
            {"max_bytes": 1000},
        ),
        (
            PRECONDITION,
            "PRECONDITION_FAILED - message size 134217729 is larger than max size 134217728",
            {"max_bytes": 134217728},
        ),
        (
            ACCESS,
            (
                "ACCESS_REFUSED - access to topic 'a.b' in exchange 'webhooks' in vhost '/' refused"
                " for user 'guest'"
            ),
            {"exchange": "webhooks", "routing_key": "a.b"},
        ),
        (
            ACCESS,
            (
                "ACCESS_REFUSED - write access to topic 'a.b' in exchange 'webhooks' in vhost '/'"
                " refused for user 'guest' by backend rabbit_auth_backend_internal"
            ),
            {"exchange": "webhooks", "routing_key": "a.b"},
        ),
        (
            ACCESS,
            "ACCESS_REFUSED - access to exchange 'webhooks' in vhost '/' refused for user 'guest'",
            {"exchange": "webhooks"},
        ),
        (
            NOT_FOUND,
            "NOT_FOUND - no exchange 'webhooks' in vhost '/'",
            {"exchange": "webhooks", "is_missing": True},
        ),
        (
            ACCESS,
            "ACCESS_REFUSED - access to topic 'a." + "b" * 200 + "...",
            {},
        ),
        (PRECONDITION, "PRECONDITION_FAILED - something new", {}),
    ],
)
def test_the_brokers_words_say_what_it_refuses(
    code: int, text: str, expected: dict[str, object]
) -> None:
    assert refusal_in(code, text) == Refusal(reason=text, **expected)  # type: ignore[arg-type]


@for_each_row(
    ("refusal", "is_covered"),
    [
        (Refusal(reason="", max_bytes=9), True),
        (Refusal(reason="", max_bytes=10), False),
        (Refusal(reason="", exchange="webhooks"), True),
        (Refusal(reason="", exchange="other"), False),
        (Refusal(reason="", exchange="webhooks", routing_key="swiftsell.message.created"), True),
        (Refusal(reason="", exchange="webhooks", routing_key="swiftsell.message"), False),
        (Refusal(reason=""), False),
    ],
)
def test_a_refusal_covers_what_its_words_are_about(refusal: Refusal, *, is_covered: bool) -> None:
    assert refusal.covers("webhooks", message()) == is_covered


def test_messages_share_a_cause_unless_it_is_their_own() -> None:
    key = Refusal(reason="", exchange="webhooks", routing_key="swiftsell.message.created")
    exchange = Refusal(reason="", exchange="webhooks")

    causes = {key.cause_of(message()), exchange.cause_of(message())}

    assert causes == set(causes_covering("webhooks", message()))
    assert Refusal(reason="", max_bytes=1).cause_of(message()) not in causes
