"""A service as its users write it: it notes each event it handled, in its own database."""

import os

from consumers.kit import Consumer, Database, Event, run

consumer = Consumer(os.environ["SERVICE_NAME"], bindings=["*.message.#"])


@consumer.writer(schema="CREATE TABLE IF NOT EXISTS notes (text TEXT)")
def note(event: Event, db: Database) -> None:
    db.execute("INSERT INTO notes VALUES (?)", (event.text,))


if __name__ == "__main__":
    run(consumer)
