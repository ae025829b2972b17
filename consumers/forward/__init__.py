"""Events to HTTP endpoints, signed, retried and in order."""
