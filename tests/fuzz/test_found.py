"""Every seed and everything that fuzzing ever found goes through its target, without a fuzzer."""

import pytest

from tests.fuzz.targets import ALL, FOUND, Target

every_target = pytest.mark.parametrize(
    "target", [pytest.param(target, id=target.name) for target in ALL]
)


@every_target
def test_what_is_to_hold_holds_of_every_seed(target: Target) -> None:
    for seed in target.seeds():
        target.check(seed)


@pytest.mark.parametrize(
    ("target", "data"),
    [
        pytest.param(target, path.read_bytes(), id=f"{target.name}-{path.name}")
        for target in ALL
        for path in target.found()
    ],
)
def test_what_is_to_hold_holds_of_what_was_found(target: Target, data: bytes) -> None:
    target.check(data)


def test_whatever_was_found_belongs_to_a_target() -> None:
    assert {path.name for path in FOUND.glob("*")} <= {target.name for target in ALL}
