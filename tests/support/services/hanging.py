"""A service whose handler never returns the first time it sees one of so many events."""

import asyncio
import os
from pathlib import Path

from consumers.kit import Consumer, Event, run

_ONE_OF = 200

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["#"])
handled = Path(os.environ["SERVICE_OUTPUT"]).open("a", buffering=1)  # noqa: SIM115  for good
seen: set[str] = set()


@consumer.handler
async def note(event: Event) -> None:
    is_first = event.id not in seen
    seen.add(event.id)
    if is_first and int(event.id, 16) % _ONE_OF == 0:
        await asyncio.Event().wait()
    handled.write(f"{event.id}\n")


if __name__ == "__main__":
    run(consumer)
