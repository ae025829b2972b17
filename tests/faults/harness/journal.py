"""What the load generator and the recorder write down, a line each, and how it is read back.

Times are of the monotonic clock, which all processes of a machine share and nobody can set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, NamedTuple, TypeVar

import orjson

Kind = Literal["good", "odd", "forged", "huge", "poisoned"]
"""What a delivery is: understood, quarantined, refused with 401, refused with 413; or understood,
but its first event is one that the broker will not take."""

Poison = Literal["", "large", "forbidden", "unnamed"]
"""Why the broker does not take it: its size, or its routing key; or that, but its words don't name
what is refused, since RabbitMQ cuts them after 255 bytes."""

NO_ANSWER = 0
ACCEPTED = 200
UNAVAILABLE = 503


class Delivery(NamedTuple):
    """A request, and what became of it as far as its sender knows.

    A delivery that was sent twice has two of these, with one number.
    """

    number: int
    conversation: str
    kind: Kind
    sent_at: float
    answered_at: float
    status: int  # NO_ANSWER: nobody knows what became of it
    ids: list[str]
    ignored: Sequence[str] = ()  # ids of events that the settings leave out


class Arrival(NamedTuple):
    """A message as it came out of a queue, with the mark that its body carries."""

    queue: str
    id: str
    number: int
    position: int  # of the event in its delivery
    at: float


class Kept(NamedTuple):
    """A message that still lies in an outbox."""

    id: str
    number: int
    position: int


class Window(NamedTuple):
    """When a fault was active."""

    name: str
    began_at: float
    ended_at: float


Entry = TypeVar("Entry", Delivery, Arrival)


class Writer:
    """Append entries to a file; each is with the system before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, entry: Delivery | Arrival) -> None:
        self._file.write(orjson.dumps(tuple(entry)) + b"\n")


class Tail(Generic[Entry]):
    """Read a journal while it is being written."""

    def __init__(self, path: Path, kind: type[Entry]) -> None:
        self._path = path
        self._kind: Any = kind
        self._offset = 0
        self.entries: list[Entry] = []

    def read(self) -> list[Entry]:
        """Return the complete entries that were added since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            complete = file.read().rpartition(b"\n")[0]
        if not complete:
            return []
        self._offset += len(complete) + 1
        added = [self._kind(*orjson.loads(line)) for line in complete.split(b"\n")]
        self.entries += added
        return added
