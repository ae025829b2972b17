"""AMQP's topic patterns, for events that are past binding. Pure.

`*` is one word, `#` any number of them, none too
(https://www.rabbitmq.com/tutorials/amqp-concepts#exchange-topic).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether a routing key matches, as a topic exchange would."""
    wanted = _words(pattern)

    @lru_cache(maxsize=4096)
    def matches(key: str) -> bool:
        reached = _past_hashes({0}, wanted)
        for word in _words(key):
            reached = _past_hashes(set(_after(word, reached, wanted)), wanted)
        return len(wanted) in reached

    return matches


def _words(text: str) -> Sequence[str]:
    """Return the words; to RabbitMQ, an empty key has none, while `.` is two empty ones."""
    return text.split(".") if text else []


def _after(word: str, reached: set[int], wanted: Sequence[str]) -> list[int]:
    """Return how far into the pattern one may be after word; reached is how far before it."""
    open_ends = [at for at in reached if at < len(wanted)]
    stay = [at for at in open_ends if wanted[at] == "#"]
    return stay + [at + 1 for at in open_ends if wanted[at] in ("*", word)]


def _past_hashes(reached: set[int], wanted: Sequence[str]) -> set[int]:
    """Add the places beyond each `#`, which may stand for nothing."""
    for at in sorted(reached):
        beyond = at
        while beyond < len(wanted) and wanted[beyond] == "#":
            beyond += 1
            reached.add(beyond)
    return reached
