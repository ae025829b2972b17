"""What goes out on the wire: events, their documents, routing keys and AMQP bytes. Pure."""
