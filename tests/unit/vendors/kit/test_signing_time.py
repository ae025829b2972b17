"""When a delivery was signed: how it is written, and how long it is good."""

import pytest

from relay.errors import Unauthenticated
from relay.vendors.kit.signing_time import read_signing_time, require_recent
from tests.support.rows import for_each


@pytest.mark.parametrize("text", ["0", "1", "1760000000", "1760000000123"])
def test_a_number_is_a_time(text: str) -> None:
    assert read_signing_time(text) == int(text)


@for_each(text=["", " 1", "1\n", "+1", "-1", "007", "1.0", "1e9", "٣", "9" * 15])
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        read_signing_time(text)

    assert caught.value.reason == "timestamp_malformed"


def test_no_time_is_missing() -> None:
    with pytest.raises(Unauthenticated) as caught:
        read_signing_time(None)

    assert caught.value.reason == "timestamp_missing"


@pytest.mark.parametrize(
    ("signed_at", "reason"), [(89.0, "too_old"), (90, None), (110, None), (111, "too_new")]
)
def test_a_time_is_good_for_the_tolerance(signed_at: float, reason: str | None) -> None:
    require_recent(signed_at, None, 10)
    if reason is None:
        require_recent(signed_at, 100.0, 10)
        return
    with pytest.raises(Unauthenticated) as caught:
        require_recent(signed_at, 100.0, 10)
    assert caught.value.reason == reason
