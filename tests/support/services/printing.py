"""A service that prints the text of each event, and takes its time over it."""

import asyncio
import os

from consumers.kit import Consumer, Event, run

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["*.message.#"])


@consumer.handler
async def handle(event: Event) -> None:
    await asyncio.sleep(0.001)
    print(event.text, flush=True)  # noqa: T201


if __name__ == "__main__":
    run(consumer)
