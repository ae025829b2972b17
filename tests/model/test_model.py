"""The model in short, always the same; `make model` plays more, each time others."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import RelayMachine

_EXAMPLES = os.environ.get("MODEL_EXAMPLES")


def test_every_accepted_event_is_in_one_place_whatever_happens() -> None:
    run_state_machine_as_test(
        RelayMachine,
        settings=settings(
            max_examples=int(_EXAMPLES or 100),
            stateful_step_count=40,
            deadline=None,
            derandomize=_EXAMPLES is None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
