"""A service's queues on the broker, and the headers of what lies in them."""
