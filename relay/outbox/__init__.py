"""Events on this machine's disk, until RabbitMQ has confirmed them."""
