"""Relay: chat-platform webhooks in, normalized events out of RabbitMQ."""
