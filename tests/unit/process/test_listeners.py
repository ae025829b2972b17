"""How many connections the system's limit on open files leaves."""

import resource

import pytest

from relay.process import listeners

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "set_to", "allowed"),
    [
        ((1_024, 1_048_576), 5_200, 5_000),
        ((1_024, INFINITE), 5_200, 5_000),
        ((1_048_576, 1_048_576), None, 5_000),
        ((INFINITE, INFINITE), None, 5_000),
        ((1_024, 4_096), 4_096, 3_896),
        ((100, 100), 100, 1),
    ],
)
def test_connections_are_as_many_as_the_system_gives_files_for(
    monkeypatch: pytest.MonkeyPatch,
    limits: tuple[int, int],
    set_to: int | None,
    allowed: int,
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: told.append(new))

    assert listeners.allow_connections(5_000) == allowed
    assert told == ([(set_to, limits[1])] if set_to else [])
