"""What the feed has shown lately, for the page of an event. Bounded, in memory."""

from typing import NamedTuple

from relay.console.feed.rows import Row

_MAX_REQUESTS = 1000
_MAX_EVENTS, _MAX_EVENT_BYTES = 1000, 24 * 1024 * 1024


class SeenEvent(NamedTuple):
    """An event, its row, and under which routing key it came."""

    row: Row
    routing_key: str
    body: bytes


class Seen:
    """The latest requests and events; those that came first go first."""

    def __init__(self) -> None:
        self.requests: dict[str, Row] = {}
        self.events: dict[str, SeenEvent] = {}
        self._event_bytes = 0

    def add_requests(self, rows: list[Row]) -> None:
        """Keep requests; several views may see the same."""
        self.requests |= {str(row.get("cursor", "")): row for row in rows}
        while len(self.requests) > _MAX_REQUESTS:
            del self.requests[next(iter(self.requests))]

    def add_event(self, event: SeenEvent) -> None:
        """Keep an event, unless it is there."""
        if self.events.setdefault(event.row["event_ids"][0], event) is event:
            self._event_bytes += len(event.body)
        while len(self.events) > _MAX_EVENTS or self._event_bytes > _MAX_EVENT_BYTES:
            oldest = self.events.pop(next(iter(self.events)))
            self._event_bytes -= len(oldest.body)

    def requests_of(self, event_id: str) -> list[Row]:
        """Return the requests that name an event or a quarantined delivery."""
        return [row for row in self.requests.values() if event_id in row.get("event_ids", ())]
