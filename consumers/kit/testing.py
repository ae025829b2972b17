"""Test a handler in memory: events of the vendors' samples in, what the kit would do out.

async def test_a_chat_that_was_missed_reaches_us() -> None:
    (event,) = events("pickyassist", "05")

    assert await handle(consumer, event) == Done()
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from consumers.kit.consumer import Consumer
from consumers.kit.consuming.calling import caller_of
from consumers.kit.consuming.decision import Dead, Decision, Done, Retry, Wait, decide
from consumers.kit.event import Event, decode
from consumers.kit.seen.database import SeenDatabase
from consumers.kit.seen.store import SeenStore
from consumers.kit.settings import ConsumerSettings
from relay import vendors
from relay.events.envelope import encode_events
from relay.events.message import Origin
from relay.vendors.kit.request import Request

__all__ = ["Dead", "Done", "Retry", "Wait", "events", "handle"]

_DEFAULTS = ConsumerSettings()


def events(vendor: str, sample: str = "", *, source: str | None = None) -> list[Event]:
    """Return the events of a vendor's samples, as the relay would publish them.

    Args:
        vendor: one of `relay vendors`.
        sample: how the samples' names begin, such as `02`; "" for all that have events.
        source: the configured source that received them; by default the vendor's name.

    Raises:
        ValueError: there is no such vendor or sample.
    """
    code = vendors.discover().get(vendor)
    files = [
        file
        for file in vendors.samples(vendor)
        if file.name.startswith(sample) and file.name.endswith(".json")
    ]
    if code is None or not files:
        raise ValueError(f"there is no sample {sample!r} of a vendor {vendor!r}")
    origin = Origin(vendor=vendor, source=source or vendor)
    return [
        decode(message.body, routing_key=message.routing_key)
        for file in files
        for message in encode_events(
            code.normalize(Request(body=file.read_bytes())),
            origin=origin,
            received_at=time.time(),
            delivery_id=secrets.token_hex(16),
        )
    ]


async def handle(  # noqa: PLR0913  each as in the settings
    consumer: Consumer,
    event: Event,
    *,
    attempt: int = 1,
    retry_delays_s: Sequence[float] = _DEFAULTS.retry_delays_s,
    timeout_s: float = _DEFAULTS.handler_timeout_s,
    database: str = "sqlite::memory:",
) -> Decision:
    """Hand an event to a consumer's function, and return what the kit would do with the message.

    A writer writes into a database in memory, which is gone afterwards, unless another is given.

    Args:
        consumer: the service.
        event: an event, of `events` for instance.
        attempt: which attempt this is, from 1.
        retry_delays_s: as in the settings.
        timeout_s: as `handler_timeout_s` in the settings.
        database: as `seen` in the settings; an event that was written there is skipped.

    Returns:
        Done, Retry, Dead or Wait.
    """
    marks = SeenDatabase.at(database, schema=consumer.schema)
    seen = SeenStore(marks, service=consumer.name, keep_s=_DEFAULTS.seen_for_s)
    try:
        caller = caller_of(consumer, seen=seen, timeout_s=timeout_s)
        (result,) = await caller([replace(event, attempt=attempt)])
    finally:
        await seen.close()
    error = result if isinstance(result, Exception) else None
    return decide(error, attempt=attempt, retry_delays_s=retry_delays_s)
