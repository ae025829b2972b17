"""The events that `relay tail` shows: from a queue of its own or from the history, over outages."""
