"""A process that appends to a real outbox and confirms what it reads, as the relay does.

Under strace, it writes `a ID` into the journal once a delivery is acknowledged, and `c ID`
before its message is confirmed: from then on it may be gone. Some deliveries are of many messages
and more than 1 MiB: they are committed in parts, some of which are confirmed before all are stored.
With all of them, SQLite's log becomes so long that it is written back beside commits.

Args: directory of the outbox, journal, deliveries, seed.
"""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

from relay.errors import NotDurable
from relay.events.message import Message
from relay.outbox.outbox import Outbox
from tests.powercut import recording

_SENDERS = 8
_MAX_BODY_BYTES = 16_000
_LARGE_EVERY = 25
_MESSAGES_OF_LARGE = 200


def record(trace: Path, directory: Path, journal: Path, deliveries: int, seed: int) -> None:
    """Run the load under strace. Raises CalledProcessError if it fails."""
    load = [sys.executable, "-m", "tests.powercut.load", str(directory), str(journal)]
    subprocess.run(
        [*recording.strace(trace), *load, str(deliveries), str(seed)],
        check=True,
        capture_output=True,
        timeout=300,
    )


def judge(bodies: list[tuple[str, bytes]]) -> str:
    """Return what is wrong with the rows of an outbox, or ""."""
    names = [name for name, _ in bodies]
    if len(set(names)) < len(names):
        return "an event is there twice"
    if any(not body.startswith(name.encode()) for name, body in bodies):
        return "a body is not its event's"
    return ""


async def _send(outbox: Outbox, journal: int, names: list[str], chance: random.Random) -> None:
    while names:
        name = names.pop()
        count = 1 if int(name, 16) % _LARGE_EVERY else _MESSAGES_OF_LARGE
        messages = [_message(f"{name}{n:x}" if n else name, chance) for n in range(count)]
        try:
            await outbox.append(messages)
        except NotDurable:
            continue
        os.write(journal, "".join(f"a {message.id}\n" for message in messages).encode())


def _message(name: str, chance: random.Random) -> Message:
    body = name.encode() + chance.randbytes(chance.randrange(_MAX_BODY_BYTES))
    return Message(id=name, routing_key="k", properties=b"", body=body, received_at=1.5)


async def _confirm(outbox: Outbox, journal: int, chance: random.Random) -> None:
    after = 0
    while True:
        rows = await outbox.pending(after=after, limit=chance.randrange(1, 60))
        await asyncio.sleep(0 if rows else 0.005)
        if not rows:
            continue
        after = rows[-1].seq
        done = [row for row in rows if chance.random() < 0.97]
        os.write(journal, "".join(f"c {row.message.id}\n" for row in done).encode())
        outbox.confirm([row.seq for row in done])


async def main(directory: Path, journal_path: Path, deliveries: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  reproducible, not secret
    journal = os.open(journal_path, os.O_WRONLY | os.O_CREAT)
    rounds = 3
    for start in range(rounds):
        names = [f"{n:032x}" for n in range(start, deliveries, rounds)]
        outbox = Outbox(directory=directory, max_bytes=1 << 28, committed=asyncio.Event())
        await outbox.open()
        confirming = asyncio.create_task(_confirm(outbox, journal, chance))
        await asyncio.gather(*[_send(outbox, journal, names, chance) for _ in range(_SENDERS)])
        confirming.cancel()
        await asyncio.wait([confirming])
        await outbox.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
