"""Which trace a request says it belongs to."""

from relay.events.traceparent import traceparent_of
from tests.support.rows import for_each_row


@for_each_row(
    ("value", "is_taken"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09", True),
        ("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", False),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", False),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("\udcff", False),
        ("", False),
    ],
)
def test_only_a_traceparent_that_w3c_calls_valid_is_taken(value: str, *, is_taken: bool) -> None:
    # https://www.w3.org/TR/trace-context/#traceparent-header-field-values
    assert traceparent_of({"traceparent": value}) == (value if is_taken else None)
    assert traceparent_of({}) is None
