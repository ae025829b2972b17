"""All attacks, in the order in which they are made."""

from tests.hostile import (
    address_attacks,
    compressed_attacks,
    connection_attacks,
    count_attacks,
    framing_attacks,
    json_attacks,
    question_attacks,
    text_attacks,
)

ALL = (
    *connection_attacks.ATTACKS,
    *framing_attacks.ATTACKS,
    *address_attacks.ATTACKS,
    *compressed_attacks.ATTACKS,
    *json_attacks.ATTACKS,
    *text_attacks.ATTACKS,
    *question_attacks.ATTACKS,
    *count_attacks.ATTACKS,
)
