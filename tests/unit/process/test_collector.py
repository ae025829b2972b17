"""The garbage collector's pause while a program starts."""

import gc
from collections.abc import Iterator

import pytest

from relay.process import collector


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_after_a_pause_it_collects_again_but_nothing_from_before() -> None:
    collector.pause()
    assert not gc.isenabled()
    gc.unfreeze()

    collector.resume()

    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_without_a_pause_nothing_is_taken_from_it() -> None:
    gc.unfreeze()

    collector.resume()

    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
