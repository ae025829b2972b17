"""The properties of a message as a service gets it."""

from datetime import UTC, datetime
from typing import Any

from pamqp.commands import Basic

KEY = "swiftsell.message.created.text"
MOMENT = datetime(2026, 11, 20, 16, 0, 0, 250_000, tzinfo=UTC)
BROKER_TIME = MOMENT.replace(microsecond=0)  # it counts whole seconds


def delivered(headers: dict[str, Any] | None = None, **properties: Any) -> Basic.Properties:
    """Return properties as a consumer gets them."""
    return Basic.Properties(
        headers=headers,
        message_id="e1",
        message_type="message.created",
        content_type="application/cloudevents+json",
        timestamp=BROKER_TIME,
        app_id="relay",
        **properties,
    )
