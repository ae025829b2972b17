"""HTTP in: from the socket to the sink, and back to the answer."""
