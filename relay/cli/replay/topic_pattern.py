"""AMQP's topic patterns, for events that have already passed their bindings. Pure.

`*` stands for exactly one word, `#` for any number of words, including none
(https://www.rabbitmq.com/tutorials/amqp-concepts#exchange-topic).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that returns whether a routing key matches, as in a topic exchange."""
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
    """Return the positions in the pattern after word, from the positions reached before it."""
    unfinished = [position for position in reached if position < len(wanted)]
    stay = [position for position in unfinished if wanted[position] == "#"]
    return stay + [position + 1 for position in unfinished if wanted[position] in ("*", word)]


def _past_hashes(reached: set[int], wanted: Sequence[str]) -> set[int]:
    """Add the positions after each `#`, which may stand for no word at all."""
    for position in sorted(reached):
        after = position
        while after < len(wanted) and wanted[after] == "#":
            after += 1
            reached.add(after)
    return reached
