"""A service as its users write it: it notes each event it handled, in its own database."""

import os

from consumers.kit import Consumer, Event, run
from consumers.kit.consumer import Database

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["*.message.#"])


@consumer.writer()
def note(event: Event, db: Database) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
    db.execute("INSERT INTO notes VALUES (?)", (event.text,))


if __name__ == "__main__":
    run(consumer)
