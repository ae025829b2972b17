"""The live feed: what callers were answered, and events as they come out of RabbitMQ."""
