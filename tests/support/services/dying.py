"""A service that dies of some events: it exits without a word when one of them is handled."""

import asyncio
import os
from collections.abc import Sequence

from consumers.kit import Consumer, Database, Event, run

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["#"])


def note_or_die(event: Event) -> None:
    if event.text.startswith("deadly"):
        os._exit(1)
    print(event.text, flush=True)  # noqa: T201


async def handle(event: Event) -> None:
    await asyncio.sleep(0.001)
    note_or_die(event)


async def handle_all(events: Sequence[Event]) -> None:
    for event in events:
        note_or_die(event)


def write(event: Event, _: Database) -> None:
    note_or_die(event)


match os.environ["SERVICE_KIND"]:
    case "handler":
        consumer.handler(handle)
    case "batch_handler":
        consumer.batch_handler(limit=100)(handle_all)
    case "writer":
        consumer.writer()(write)

if __name__ == "__main__":
    run(consumer)
