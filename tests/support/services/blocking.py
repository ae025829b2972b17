"""A service whose writer blocks for good, as one that waits for a lock nobody lets go of."""

import os
import threading

from consumers.kit import Consumer, Database, Event, run

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["*.message.#"])


@consumer.writer()
def block(event: Event, _: Database) -> None:
    print(event.text, flush=True)  # noqa: T201
    threading.Event().wait()


if __name__ == "__main__":
    run(consumer)
