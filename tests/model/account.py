"""What is promised, as an account: each event that was accepted is somewhere, and in one place."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from relay.events.message import Message
from tests.model.peer import Channel, Published

_MAIN_CHANNELS = range(1, 32)


class Stored(NamedTuple):
    """What is in an outbox's file: ids by number, and of those that are parked causes by id."""

    ids: dict[int, str]
    causes: dict[str, str]


def stored_in(path: Path) -> Stored:
    """Read an outbox's file from outside."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        rows = dict(db.execute("SELECT seq, id FROM outbox").fetchall())
        parked = db.execute("SELECT id, cause FROM parked JOIN outbox USING (seq)").fetchall()
    return Stored(rows, dict(parked))


class Account:
    """What became of each event, as sender and broker see it; and what should not have become.

    Args:
        quarantine: the exchange of what is not understood.
        look: returns what the outbox's file holds now.
    """

    def __init__(self, quarantine: str, look: Callable[[], Stored]) -> None:
        self._look = look
        self.faults: list[str] = []
        self.accepted: set[str] = set()
        self.ignored: set[str] = set()
        self.dropped: set[str] = set()
        self.delivered: set[str] = set()
        self.quarantined: set[str] = set()
        self.sent_confirms = self.heard_confirms = self._unread_confirms = 0
        """Confirms to this process, but for those of messages that were sent alone."""
        self.messages: dict[str, Message] = {}
        self._quarantine = quarantine
        self._numbers: dict[str, int] = {}
        self._taken: Counter[str] = Counter()
        self._may_repeat: set[str] = set()
        self._unread: set[str] = set()  # confirmed, but perhaps not heard
        self._heard: set[str] = set()  # confirmed, as this process knows
        self._in_flight: set[str] = set()
        self._sent: set[str] = set()  # by this process
        self._highest = -1
        self._causes: dict[str, str] = {}  # by id, of what is parked, or was
        self._released: set[str] = set()  # causes of which one was delivered alone
        self._odd: set[str] = set()
        self._disturbed: set[str] = set()  # ids that may come later than others
        self._disturbed_keys: set[str] = set()

    def note_appended(self, messages: list[Message], *, is_odd: bool) -> None:
        """Note messages that go into the outbox, in this order.

        Args:
            messages: of one delivery.
            is_odd: whether the broker may refuse them for what they are.
        """
        for message in messages:
            if message.id in self._numbers:
                self.faults.append(f"{message.id} is the id of two events")
            self._numbers[message.id] = len(self._numbers)
            self.messages[message.id] = message
            if is_odd:
                self._odd.add(message.id)
                self._disturbed.add(message.id)

    def note_disturbed(self, key: str) -> None:
        """Note that the order of a routing key, or of all if it is empty, is no longer promised."""
        self._disturbed_keys.add(key)

    # What the broker sees.

    def note_sent(self, channel: Channel, message: Published) -> None:
        name, number = message.id, self._numbers.get(message.id, -1)
        expected = self.messages.get(name)
        if not expected or (message.body, message.routing_key) != (
            expected.body,
            expected.routing_key,
        ):
            self.faults.append(f"{name} is not what was accepted")
        elif (message.exchange == self._quarantine) != bool(expected.is_quarantined):
            self.faults.append(f"{name} went to {message.exchange}")
        if name in self._heard:
            self.faults.append(f"{name} was sent again although it was confirmed")
        if name in self._in_flight:
            self.faults.append(f"{name} was sent twice at once")
        self._check_alone(channel, name)
        if self._keeps_order(message):
            if channel.number in _MAIN_CHANNELS and number < channel.highest:
                self.faults.append(f"{name} was sent behind a later one")
            if name not in self._sent and number < self._highest:
                self.faults.append(f"{name} was first sent behind a later one")
            channel.highest = number
            self._highest = max(self._highest, number)
        self._sent.add(name)
        self._in_flight.add(name)

    def _check_alone(self, channel: Channel, name: str) -> None:
        """What is parked goes out alone, until one of the same cause was taken."""
        if channel.number not in _MAIN_CHANNELS:
            self._causes |= self._look().causes
            if name not in self._causes:
                self.faults.append(f"{name} was sent alone, but is not parked")
        elif name in self._causes and self._causes[name] not in self._released:
            self.faults.append(f"{name} is parked, but was not sent alone")

    def _keeps_order(self, message: Published) -> bool:
        keys = self._disturbed_keys
        return not (message.id in self._disturbed or message.routing_key in keys or "" in keys)

    def note_taken(self, message: Published) -> None:
        name = message.id
        self._taken[name] += 1
        if self._taken[name] > 1 and name not in self._may_repeat:
            self.faults.append(f"{name} was delivered twice for no reason")

    def note_confirmed(self, channel: Channel, message: Published) -> None:
        is_quarantine = message.exchange == self._quarantine
        (self.quarantined if is_quarantine else self.delivered).add(message.id)
        self._in_flight.discard(message.id)
        self._unread.add(message.id)
        if channel.number in _MAIN_CHANNELS:
            self.sent_confirms += 1
            self._unread_confirms += 1
        elif message.id in self._causes:
            self._released.add(self._causes[message.id])

    def note_failed(self, message: Published) -> None:
        self._in_flight.discard(message.id)
        self._disturbed.add(message.id)

    def note_unsettled(self, messages: list[Published]) -> None:
        """Note what was in flight when its channel ended."""
        names = {message.id for message in messages}
        self._in_flight -= names
        self._may_repeat |= names

    def note_lost(self) -> None:
        """Note that a connection was lost: whether its last confirms were read, nobody knows."""
        self._may_repeat |= self._unread
        self._unread.clear()
        self._unread_confirms = 0

    # What the process knows.

    def note_heard(self) -> None:
        """Note that the process has read all confirms."""
        self._heard |= self._unread
        self.heard_confirms += self._unread_confirms
        self._unread_confirms = 0
        self._unread.clear()

    def note_restart(self, left: Stored) -> None:
        """Note that another process begins with what the last one has left."""
        self._may_repeat |= self._unread | set(left.ids.values())
        for forgotten in (self._unread, self._heard, self._sent, self._released):
            forgotten.clear()
        self._causes = dict(left.causes)
        self.sent_confirms = self.heard_confirms = self._unread_confirms = 0
        self._highest = -1

    # The sum.

    def check(self, now: Stored) -> None:
        """Raise AssertionError unless the account is right.

        Args:
            now: what the outbox's file holds.
        """
        self._causes |= now.causes
        rows = Counter(now.ids.values())
        gone = self.delivered | self.quarantined | self.dropped
        waiting = (set(rows) - gone) & self.accepted
        found = {
            "faults": self.faults,
            "lost": sorted(self.accepted - gone - self.ignored - waiting),
            "stored twice": [name for name, count in rows.items() if count > 1],
            "invented": sorted(set(rows) - set(self._numbers)),
            "parked for no reason": [name for name in now.causes if not self._may_be_parked(name)],
        }
        if any(found.values()):
            raise AssertionError(str(found))
        parts = {
            "delivered": len(self.delivered & self.accepted),
            "quarantined": len(self.quarantined & self.accepted),
            "ignored": len(self.ignored),
            "dropped": len((self.dropped - self.delivered - self.quarantined) & self.accepted),
            "waiting": len(waiting),
        }
        if len(self.accepted) != sum(parts.values()):
            raise AssertionError(f"{len(self.accepted)} were accepted, but {parts}")

    def _may_be_parked(self, name: str) -> bool:
        keys = self._disturbed_keys
        return name in self._odd or "" in keys or self.messages[name].routing_key in keys
