from typing import Any

import pytest

from relay.console.masking import MASK, masked
from tests.support.rows import for_each


@for_each(
    personal=[
        {"name": "Ann"},
        {"contact": {"email": "ann@example.com"}},
        {"message": {"text": "call me"}},
        {"attachments": [{"url": "https://files.example.com/1?sig=x"}]},
        {"raw": {"whatever": ["Ann", 1.5]}},
        {"contact": {"id": "+49 170 1234567"}},
        {"contact": {"id": "491701234567"}},
        {"status": "Ann said: hello, you!"},
        {"phone": 4917012345},
    ]
)
def test_what_may_be_personal_is_masked(personal: dict[str, Any]) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for member in value.values() for leaf in leaves(member)]
        return [leaf for each in value for leaf in leaves(each)] if type(value) is list else [value]

    assert set(leaves(masked(personal))) == {MASK}


@pytest.mark.parametrize(
    "harmless",
    [
        {"type": "message.created", "id": "3c1f00aa"},
        {"data": {"conversation": {"id": "42bb83f0"}, "message": {"kind": "text"}}},
        {"closed": None, "is_open": True},
        {"time": "2023-09-01T14:13:45.503552Z"},
    ],
)
def test_structure_ids_and_words_of_the_protocol_stay(harmless: dict[str, Any]) -> None:
    assert masked(harmless) == harmless


def test_a_value_within_a_hundred_levels_of_lists_is_masked_and_not_walked() -> None:
    deep: Any = "Ann"
    for _ in range(500):
        deep = [deep]

    assert "Ann" not in str(masked(deep))
