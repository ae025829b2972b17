"""What the document says of refused deliveries."""

from relay.openapi import ingress
from tests.support.rows import for_each

UNCERTAIN = {"Refused500", "Refused503"}
DESCRIPTIONS = {
    name: answer["description"]
    for name, answer in ingress.responses().items()
    if name.startswith("Refused")
}


@for_each(name=sorted(DESCRIPTIONS))
def test_a_refusal_says_whether_anything_may_be_stored(name: str) -> None:
    ending = "It may be stored all the same." if name in UNCERTAIN else "Nothing was stored."

    assert DESCRIPTIONS[name].endswith(f". {ending}")
    assert len(DESCRIPTIONS) > len(UNCERTAIN)
