"""The garbage collector's pause while a program starts."""

import gc

from relay.process import collector


def test_after_a_pause_it_collects_again_but_nothing_from_before() -> None:
    kept = gc.get_freeze_count()
    made_meanwhile = [[number] for number in range(1000)]

    collector.pause()
    is_paused = not gc.isenabled()
    collector.resume()

    assert is_paused
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept + len(made_meanwhile)


def test_without_a_pause_nothing_is_taken_from_it() -> None:
    kept = gc.get_freeze_count()

    collector.resume()

    assert gc.isenabled()
    assert gc.get_freeze_count() == kept
