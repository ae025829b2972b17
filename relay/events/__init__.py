"""What goes out on the wire: events, their envelopes, routing keys and AMQP bytes. Pure."""
