"""The ids of events that were shown, as far as memory goes. Pure."""

from collections import OrderedDict

_MAX_IDS = 100_000


class SeenIds:
    """Remembers the latest 100,000 ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, event_id: str) -> bool:
        """Remember an id; return False if it was there already. An empty one is always new."""
        if not event_id:
            return True
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > _MAX_IDS:
            self._ids.popitem(last=False)
        return True
